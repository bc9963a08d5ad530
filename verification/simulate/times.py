"""Clocks that tell virtual time, each in its own way."""

from typing import Final

from simulate.loop import SimulatedLoop

EPOCH: Final = 1_800_000_000.0
"""What a right clock says when the simulation begins, in seconds since 1970."""


class HostClock:
    """Implements core.ports.Clock for one host. `skew`: how far its wall clock is ahead."""

    def __init__(self, loop: SimulatedLoop, boot: float = 0.0, skew: float = 0.0) -> None:
        self._loop = loop
        self._boot = boot
        self.skew = skew

    def monotonic(self) -> float:
        """Since that host was started: it means nothing to another."""
        return self._loop.now + self._boot

    def unix(self) -> float:
        """By its wall clock."""
        return self._loop.now + EPOCH + self.skew
