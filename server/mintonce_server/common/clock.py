"""Time: the port through which all parts read it, and the system clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """The only reader of time."""

    def monotonic(self) -> float:
        """Seconds; never goes back; means nothing to another process."""
        ...

    def unix(self) -> float:
        """Seconds since 1970 by this host's clock. Never compared with another host's."""
        ...


class SystemClock:
    """The system clock. Tests use clocks that they can set."""

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic()  # noqa: TID251 - this is the Clock

    def unix(self) -> float:
        """Seconds since 1970 by this host's clock."""
        return time.time()  # noqa: TID251 - this is the Clock
