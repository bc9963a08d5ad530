"""`mintonced` in a form that tests can measure: `python measured_server.py SKEW ARGUMENT…`.

Two differences to the product. Its user may count its descriptors: the product is not dumpable, and only root may read
/proc/PID/fd of such a process. Its wall clock is ahead by SKEW seconds.
"""

import ctypes
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROGRAM: Final = str(Path(__file__).resolve())
_PR_SET_DUMPABLE: Final = 4


def main(skew: float, arguments: list[str]) -> int:
    """The exit code. Only the wall clock is off: nobody can move a monotonic one."""
    # This folder came first on the path, since it is this program's.
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).parent.resolve()]
    from mintonce_server import hardening
    from mintonce_server.telemetry.clock import SystemClock

    harden = hardening.harden

    def harden_but_stay_dumpable() -> Iterator[str]:
        yield from harden()
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)

    # Before the command line is imported, which takes the function from there.
    hardening.harden = harden_but_stay_dumpable
    SystemClock.unix = lambda self: time.time() + skew  # type: ignore[method-assign] # that is the point
    sys.argv[1:] = arguments
    from mintonce_server.__main__ import main as mintonced

    return mintonced()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
