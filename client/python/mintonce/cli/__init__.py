"""`mintonce`: tokens from a shell."""

import os
import signal
from collections.abc import Sequence
from typing import Final, NoReturn

__all__ = ["main"]

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the signal's number."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mintonce` and return its exit code. argparse itself exits with 2 when the arguments are wrong."""
    signal.signal(signal.SIGINT, _end)
    # gRPC's C core would write to stderr what we say better. It reads this when it is imported, so import it after.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from mintonce.cli._main import run

    return run(argv)


def _end(*_: object) -> NoReturn:
    """Ctrl-C. There is nothing to tidy up: the server sees the connection end.

    No KeyboardInterrupt: raised while gRPC takes or gives back a lock, it leaves the lock behind, and the program hangs
    or ends with gRPC's traceback.
    """
    os._exit(INTERRUPTED)
