"""What this process gives away to others of the same machine: as little as the system allows."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def harden() -> Iterator[str]:
    """No core dumps, no debugger or /proc/PID/environ for other processes of this user, files for this user alone.

    Gives what could not be done, in words, for the log.
    """
    os.umask(0o077)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        yield f"core dumps cannot be turned off: {error}"
    if sys.platform == "linux":
        try:
            if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
                yield f"the process stays dumpable: {os.strerror(ctypes.get_errno())}"
        except (OSError, AttributeError) as error:  # a libc without prctl
            yield f"the process stays dumpable: {error}"
