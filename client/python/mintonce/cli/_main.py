"""From arguments to an exit code."""

import argparse
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from enum import IntEnum
from io import StringIO

from mintonce.cli import _output
from mintonce.cli._completion import NoCompletion
from mintonce.cli._credentials import with_flags
from mintonce.cli._http import DEFAULT_URL, URL_VARIABLE
from mintonce.cli._input import NoToken
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
    _output.prepare()
    try:
        return _done(_arguments(argv))
    except MintonceError as error:
        _output.failure(error)
        return Exit.UNAVAILABLE if isinstance(error, Unavailable) else Exit.REFUSED
    except NoToken as error:
        _output.note(f"{error}. Give it the token that was refused, alone or behind `Bearer`.")
        return Exit.USAGE
    except NoCompletion as error:
        _output.note(str(error))
        return Exit.USAGE
    except _output.Unwritable as error:
        _output.let_go()
        _output.note(f"standard output cannot be written: {error}. Make room there, or send it elsewhere.")
        return Exit.REFUSED
    except BrokenPipeError:
        # The reader has seen enough, as in `mintonce watch … | head -1`.
        _output.let_go()
        return Exit.DONE


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    shown = StringIO()  # argparse itself keeps quiet about help that could not be written
    try:
        with redirect_stdout(shown):
            return parser().parse_args(argv)
    except SystemExit:
        if text := shown.getvalue():
            with _output.written():
                print(text, end="")
        raise


def _done(args: argparse.Namespace) -> int:
    if "offline" in args:
        args.offline(args.shell)
        return Exit.DONE
    environ = with_flags(os.environ, args)
    if "page" in args:
        args.http = args.http or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        code: int = args.page(environ, args)
        return code
    with TokenClient(
        args.target, tls=tls_from(environ) or False, bearer=bearer_from(environ) or False, timeout=args.timeout
    ) as client:
        args.run(client, args)
    return Exit.DONE
