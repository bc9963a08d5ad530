"""Pieces of HTML that the page is made of. Every text from outside passes `escape`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final, Generic, TypeVar

from mintonce_server.core.findings import duration
from mintonce_server.core.status import Level, State

T = TypeVar("T")

UNKNOWN: Final = "–"

SIGNS: Final = (
    '<svg hidden><symbol id=well viewBox="0 0 16 16"><path d="M3 8.5l3.5 3.5L13 4.5"/></symbol>'
    '<symbol id=notice viewBox="0 0 16 16"><path d="M8 2L1.5 14h13zM8 6.5v3.5M8 12.2v.1"/></symbol>'
    '<symbol id=trouble viewBox="0 0 16 16"><circle cx=8 cy=8 r=6.5 /><path d="M5.5 5.5l5 5M10.5 5.5l-5 5"/></symbol>'
    '<symbol id=busy viewBox="0 0 16 16"><path d="M13.5 8A5.5 5.5 0 1 1 11 3.4M11 1v3H8"/></symbol>'
    '<symbol id=idle viewBox="0 0 16 16"><path d="M3 8h10"/></symbol></svg>'
)
"""Drawn, not letters: a machine may lack a font that has them."""

LOOKS: Final[dict[State, tuple[str, str]]] = {
    State.FAILING: ("trouble", "trouble"),
    State.REJECTED: ("notice", "notice"),
    State.BACK_OFF: ("trouble", "notice"),
    State.DEGRADED: ("notice", "notice"),
    State.WAITING: ("busy", "notice"),
    State.REFRESHING: ("busy", "well"),
    State.DUE: ("notice", "notice"),
    State.LIVE: ("well", "well"),
    State.IDLE: ("idle", "idle"),
}
"""Sign and colour of each state. The word always stands beside them."""


def sign(name: str) -> str:
    """Says nothing to a screen reader: a word stands beside it."""
    return f"<svg class=i aria-hidden=true><use href=#{name} /></svg>"


def marked(level: Level, text: str) -> str:
    """Sign and word, in the level's colour. `text` is escaped here."""
    return f"<span class={level}>{sign(level)} {escape(text)}</span>"


def state(value: State) -> str:
    """A key's state as sign and word."""
    name, colour = LOOKS[value]
    return f"<span class={colour}>{sign(name)} {value}</span>"


def moment(as_of: float, offset: float, text: str) -> str:
    """A point in time, as the text."""
    return f"<time datetime={stamp(as_of + offset)}>{text}</time>"


def stamp(unix: float) -> str:
    """RFC 3339, in UTC. An impossible time becomes the first of 1970."""
    return _datetime(unix).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(unix: float) -> str:
    """14:03:22."""
    return _datetime(unix).strftime("%H:%M:%S")


def date(unix: float) -> str:
    """26 Nov 14:03."""
    return f"{_datetime(unix):%d %b %H:%M}"


def _datetime(unix: float) -> datetime:
    try:
        return datetime.fromtimestamp(unix, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def ahead(as_of: float, seconds: float | None) -> str:
    """2 h 14 min, and when that is."""
    if seconds is None:
        return UNKNOWN
    if seconds <= 0:
        return moment(as_of, seconds, "now")
    day = f"{_datetime(as_of + seconds):%d %b} " if seconds >= 86_400.0 else ""
    return moment(as_of, seconds, f"{duration(seconds)}<small>{day}{_datetime(as_of + seconds):%H:%M}</small>")


def ago(as_of: float, seconds: float | None) -> str:
    """12 s ago."""
    if seconds is None:
        return UNKNOWN
    return moment(as_of, -seconds, "just now" if seconds < 1.0 else f"{duration(seconds)} ago")


def took(seconds: float | None) -> str:
    """1.2 ms, 310 ms, 1.1 s."""
    if seconds is None:
        return UNKNOWN
    if seconds >= 1.0:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def number(value: float | None, form: str = ",d") -> str:
    """With thousands' separators."""
    return UNKNOWN if value is None else format(value, form)


def plural(count: int, one: str, more: str = "") -> str:
    """1 key, 2 keys."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """A table in a box of its own; one row for each item. A row that cannot be drawn says so, and hides no other.

    Attributes:
        columns: heading and class of each: "n" for numbers, "w" for what stays on one line, "wrap" for long text, "any"
            for what may break anywhere.
        cells: the content of a row, in HTML, for each column. The first one is the row's heading.
        row_id: of a row, so that a refreshed page knows it again.
        note: beside the caption. `none`: what is said when there are no items.
        before: HTML that stands above the table.
    """

    caption: str
    columns: Sequence[tuple[str, str]]
    cells: Callable[[T], Sequence[str]]
    row_id: Callable[[T], str] | None = None
    note: str = ""
    none: str = "None."
    before: str = ""

    def draw(self, items: Iterable[T]) -> str:
        """As HTML."""
        rows = "".join([self._row(item) for item in items])
        note = f" <small>{self.note}</small>" if self.note else ""
        if not rows:
            return (
                f"<section class=box>{self.before}<h2>{self.caption}{note}</h2><p class=none>{self.none}</p></section>"
            )
        heads = "".join(f"<th scope=col{_class(kind)}>{heading}" for heading, kind in self.columns)
        return (
            f'<section class=box>{self.before}<div class=scroll tabindex=0 role=region aria-label="{self.caption}">'
            f"<table><caption>{self.caption}{note}</caption><thead><tr>{heads}</thead><tbody>{rows}</tbody></table>"
            "</div></section>"
        )

    def _row(self, item: T) -> str:
        try:
            name = f" id={self.row_id(item)}" if self.row_id else ""
            cells = list(zip(self.columns, self.cells(item), strict=True))
        except Exception as error:  # noqa: BLE001 - shown: an operator needs the other rows all the more
            what = f"This row cannot be shown ({type(error).__name__})."
            return f"<tr><td colspan={len(self.columns)}>{marked(Level.TROUBLE, what)}"
        (((_, kind), first), *others) = cells
        rest = "".join(f"<td{_class(kind)}>{cell}" for (_, kind), cell in others)
        return f"<tr{name}><th scope=row{_class(kind)}>{first}{rest}"


def _class(kind: str) -> str:
    return f" class={kind}" if kind else ""


def guarded(draw: Callable[[], str], name: str) -> str:
    """A section, or what is said in its place."""
    try:
        return draw()
    except Exception as error:  # noqa: BLE001 - as above
        return (
            f"<section class=box>{marked(Level.TROUBLE, f'{name} cannot be shown ({type(error).__name__}).')}</section>"
        )
