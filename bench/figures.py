"""Measured values and how they are summarised and printed. Times are in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` percent of the values do not exceed (nearest rank)."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of all rounds, and their range: the range is the noise."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, these: Sequence[float], those: Sequence[float]) -> "Ratio":
        """Round by round, since both values of a round were measured side by side."""
        ratios = [this / that for this, that in zip(these, those, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def duration(seconds: float) -> str:
    """With about three digits: 41 ns, 312 µs, 4.1 ms."""
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        amount = seconds * factor
        if amount < 999.5:
            return f"{amount:.{0 if amount >= 100 or unit == 'ns' else 1}f} {unit}"
    return f"{seconds:.2f} s"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text: the first and the last column are aligned to the left, the others to the right."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    last = len(cells) - 1
    return "  ".join(
        cell.ljust(width) if place in (0, last) else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()
