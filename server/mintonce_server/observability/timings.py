"""How long something took lately."""

import math
from collections import deque
from typing import Final

from mintonce_server.core.status import Latency

MOST_SAMPLES: Final = 1024
WINDOW: Final = 300.0
"""Seconds that a latency is about."""


class Timings:
    """How long something took, the newest 1,024 times."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=MOST_SAMPLES)

    def add(self, now: float, seconds: float) -> None:
        """It took so long, and ended now."""
        self._samples.append((now, seconds))

    def latency(self, now: float) -> Latency:
        """Of the last five minutes."""
        recent = sorted(seconds for at, seconds in self._samples if now - at <= WINDOW)
        if not recent:
            return Latency()
        return Latency(_quantile(recent, 0.5), _quantile(recent, 0.99), len(recent))


def _quantile(ordered: list[float], share: float) -> float:
    """The smallest value that is at least as large as this share of them."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
