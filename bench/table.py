"""The table, as plain text."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.figures import Figures, Ratio

HEADINGS = ("", "server CPU", "calls/s", "caller CPU", "p50", "p99", "what it is")


@dataclass(frozen=True)
class Row:
    """A thing that was called. `meaning`: in about five words."""

    name: str
    figures: Figures
    meaning: str

    def cells(self) -> tuple[str, ...]:
        of = self.figures
        return (
            self.name,
            duration(median(of.server_cpu)) if of.server_cpu else "-",
            f"{median(of.rate):,.0f}" if of.rate else "-",
            duration(median(of.caller_cpu)) if of.caller_cpu else "-",
            duration(of.percentile(50)) if of.latencies else "-",
            duration(of.percentile(99)) if of.latencies else "-",
            self.meaning,
        )


def table(rows: Sequence[Row]) -> str:
    """One line a row: names and meanings to the left, numbers to the right."""
    return columns(HEADINGS, [row.cells() for row in rows])


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for any cells: the first and the last column to the left, what is between to the right."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def ratios(lines: Sequence[tuple[str, Ratio | str, str]]) -> str:
    """Name, ratio, aim."""
    width = max(len(name) for name, _, _ in lines)
    return "\n".join(f"{name:<{width}}  {ratio!s:<22}{aim}".rstrip() for name, ratio, aim in lines)


def duration(seconds: float) -> str:
    """With three digits or so: 41 ns, 312 µs, 4.1 ms."""
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        amount = seconds * factor
        if amount < 999.5:
            return f"{amount:.{0 if amount >= 100 or unit == 'ns' else 1}f} {unit}"
    return f"{seconds:.2f} s"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers, meaning = (
        cell.ljust(width) if place in (0, len(cells) - 1) else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((name, *numbers, meaning)).rstrip()
