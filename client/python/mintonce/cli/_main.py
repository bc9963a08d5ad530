"""From arguments to an exit code."""

import os
import sys
from collections.abc import Sequence
from enum import IntEnum

from mintonce.cli import _output
from mintonce.cli._credentials import with_flags
from mintonce.cli._parser import parser
from mintonce.client import TokenClient
from mintonce.credentials import bearer_from, tls_from
from mintonce.errors import MintonceError, Unavailable


class Exit(IntEnum):
    """The exit codes, as --help explains them. 130, for Ctrl-C, comes from `mintonce.cli`."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3


def run(argv: Sequence[str] | None) -> int:
    """Do what the arguments say."""
    args = parser().parse_args(argv)
    try:
        environ = with_flags(os.environ, args)
        with TokenClient(
            args.target, tls=tls_from(environ) or False, bearer=bearer_from(environ) or False, timeout=args.timeout
        ) as client:
            args.run(client, args)
    except MintonceError as error:
        _output.failure(error)
        return Exit.UNAVAILABLE if isinstance(error, Unavailable) else Exit.REFUSED
    except BrokenPipeError:
        # The reader has seen enough, as in `mintonce watch … | head -1`. Python would complain again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    return Exit.DONE
