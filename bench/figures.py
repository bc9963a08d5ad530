"""What was measured, and how it is summed up. Times are seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median


@dataclass
class Figures:
    """Of one thing that was called.

    Attributes:
        server_cpu: the server's, per call, a value a round.
        rate: calls/s with many under way, a value a round.
        caller_cpu: this process's, per call, a value a round.
        latencies: of single calls, one at a time.
    """

    server_cpu: list[float] = field(default_factory=list[float])
    rate: list[float] = field(default_factory=list[float])
    caller_cpu: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])

    def percentile(self, percent: float) -> float:
        """Of the latencies: the smallest that so many percent of them do not exceed (nearest rank)."""
        return sorted(self.latencies)[ceil(len(self.latencies) * percent / 100) - 1]


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, and how far they lie apart: that is the noise."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, these: Sequence[float], those: Sequence[float]) -> "Ratio":
        """Round by round: what was measured side by side had the same neighbours."""
        ratios = [this / that for this, that in zip(these, those, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"
