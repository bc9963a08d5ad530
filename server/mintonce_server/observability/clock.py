"""The clock of the program."""

import time


class SystemClock:
    """The only reader of time, as core/ports.py wants its Clock. Tests use clocks of their own, which they can turn."""

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic()  # noqa: TID251 - this is the Clock

    def unix(self) -> float:
        """Seconds since 1970 by this host's clock."""
        return time.time()  # noqa: TID251 - this is the Clock
