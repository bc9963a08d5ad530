"""Time that a test moves."""

import time


class ManualClock:
    """Implements core.ports.Clock: stands still until told."""

    def __init__(self, monotonic: float = 1000.0, unix: float = 1_800_000_000.0) -> None:
        self._monotonic = monotonic
        self._unix = unix

    def monotonic(self) -> float:
        """Seconds."""
        return self._monotonic

    def unix(self) -> float:
        """Seconds since 1970."""
        return self._unix

    def advance(self, seconds: float) -> None:
        """Both clocks go on by this much."""
        self._monotonic += seconds
        self._unix += seconds

    def step(self, seconds: float) -> None:
        """The wall clock is set, back if negative."""
        self._unix += seconds


class SkippingClock(ManualClock):
    """Goes on by itself, and skips ahead when told: for what compares its time with how long a wait took."""

    def monotonic(self) -> float:
        return super().monotonic() + time.monotonic()

    def unix(self) -> float:
        return super().unix() + time.monotonic()
