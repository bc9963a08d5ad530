"""A token bucket: so much at once, and so much a second in the long run."""


class Bucket:
    """Fills by `rate` a second up to `burst`. Times are seconds on any one clock that never goes back."""

    __slots__ = ("at", "burst", "left", "rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate, self.burst, self.left, self.at = rate, float(burst), float(burst), now

    def fill(self, now: float) -> None:
        """Add what has come since the last look."""
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.rate)
        self.at = now

    def take(self, now: float) -> float:
        """0 when there was one to take, else the seconds until there is."""
        self.fill(now)
        if self.left < 1.0:
            return (1.0 - self.left) / self.rate
        self.left -= 1.0
        return 0.0
