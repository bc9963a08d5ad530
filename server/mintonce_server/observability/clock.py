"""The system clock."""

import time


class SystemClock:
    """The only reader of time; implements Clock of core/ports.py. Tests use clocks that they can set."""

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic()  # noqa: TID251 - this is the Clock

    def unix(self) -> float:
        """Seconds since 1970 by this host's clock."""
        return time.time()  # noqa: TID251 - this is the Clock
