"""Runs a program that ends when its parent does, even if that is killed.

`python tether.py PARENT_PID PROGRAM ARGUMENT…`

A program of its own, because the same between fork and exec (preexec_fn) is unsafe beside gRPC's threads.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
"""prctl(2). It outlives execve(2). Linux only: elsewhere the program is merely started."""


def main(parent: int, command: list[str]) -> None:
    """Become the command. SIGTERM and not SIGKILL, so that it can write down what it has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            # It died before the line above: nobody would tell us any more.
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
