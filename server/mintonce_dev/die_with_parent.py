"""Run a program that ends when its parent process ends, even if that is killed.

`python die_with_parent.py PARENT_PID PROGRAM ARGUMENT…`

A separate program, because doing this between fork and exec (preexec_fn) is unsafe with gRPC's threads.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
"""prctl(2). Kept across execve(2). Linux only: on other systems the program is just started."""


def main(parent: int, command: list[str]) -> None:
    """Replace this process with the command. SIGTERM and not SIGKILL, so that the command can save its data."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            # The parent died before the line above: no signal would come.
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
