"""Small pictures as inline SVG, each with a title that says the same in words."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from mintonce_server.core.status import LIVES

_FIRST = 1.0
"""Seconds: where the first column of the axis begins, and how many there are to a `LIVES`."""


def minutes(counts: Sequence[int], most: int, kind: str, title: str) -> str:
    """A bar for each minute, oldest first. `most`: what fills the height; the pictures of a table share it."""
    width = max(len(counts), 1)
    bars = "".join(
        f"M{at + 0.5:g} 20v-{max(2.0, 18.0 * count / max(most, 1)):.2g}" for at, count in enumerate(counts) if count
    )
    return (
        f'<svg class=bars role=img viewBox="0 0 {width} 20" preserveAspectRatio=none><title>{escape(title)}</title>'
        f'<path class=axis d="M0 19.8h{width}"/><path class={kind} d="{bars}"/></svg>'
    )


def column(count: int, most: int) -> str:
    """One upright bar, without a title: its number stands beside it."""
    height = max(100.0 * count / max(most, 1), 3.0) if count else 0.0
    return (
        '<svg aria-hidden=true viewBox="0 0 100 100" preserveAspectRatio=none>'
        f"<rect class=bar x=22 y={100 - height:.4g} width=56 height={height:.4g} /></svg>"
    )


def share(part: float, title: str) -> str:
    """How much of something is used."""
    kind, width = ("over", 100.0) if part >= 1.0 else ("bar", max(0.0, part) * 100.0)
    return (
        f'<svg class=share role=img viewBox="0 0 100 10" preserveAspectRatio=none><title>{escape(title)}</title>'
        f"<rect class=track width=100 height=10 /><rect class={kind} width={width:.4g} height=10 /></svg>"
    )


def timeline(times: Iterable[float], title: str) -> str:
    """A stroke for each time ahead, on the axis of `LIVES`."""
    places = sorted({round(_place(max(0.0, seconds)), 1) for seconds in times})
    strokes = "".join(f"M{place:g} 3v18" for place in places)
    rules = "".join(f"M{at * 100} 0v24" for at in range(1, len(LIVES) + 1))
    return (
        f'<svg class=ahead role=img viewBox="0 0 {100 * (len(LIVES) + 1)} 24" preserveAspectRatio=none>'
        f'<title>{escape(title)}</title><path class=axis d="{rules}"/><path class=due d="{strokes}"/></svg>'
    )


def _place(seconds: float) -> float:
    """0 to 600: a hundred for each part of the axis, which is logarithmic within a part."""
    low = _FIRST
    for at, high in enumerate(LIVES):
        if seconds < high:
            return 100.0 * (at + max(0.0, math.log(max(seconds, low) / low) / math.log(high / low)))
        low = high
    longest = 30 * 86_400.0
    return 100.0 * len(LIVES) + min(99.0, 100.0 * math.log(seconds / low) / math.log(longest / low))
