"""`mintonced` on a machine whose wall clock is wrong: `python skewed.py SECONDS ARGUMENT…`."""

import sys
import time
from pathlib import Path


def main(seconds: float, arguments: list[str]) -> int:
    """The exit code. Only the wall clock is off: nobody can move a monotonic one."""
    # This folder came first on the path, since it is this program's.
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).parent.resolve()]
    from mintonce_server.telemetry.clock import SystemClock

    SystemClock.unix = lambda self: time.time() + seconds  # type: ignore[method-assign] # that is the point
    sys.argv[1:] = arguments
    from mintonce_server.__main__ import main as mintonced

    return mintonced()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
