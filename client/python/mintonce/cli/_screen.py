"""What `mintonce top` shows: from a snapshot to lines of text. Pure."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mintonce._text import visible
from mintonce.cli._arguments import shown
from mintonce.cli._http import Snapshot
from mintonce.cli._status import UNKNOWN, number, part, rate, rows, store_state, took

PLAIN, BOLD, DIM, RED, YELLOW, GREEN, HEAD = "", "1", "2", "31", "33", "32", "7"
"""Styles, as ANSI has them (SGR)."""

_STYLES: Final = {
    "failing": RED, "back-off": RED, "rejected": YELLOW, "degraded": YELLOW, "waiting": YELLOW, "due": YELLOW,
    "idle": DIM,
}  # fmt: skip
_LEVELS: Final = {"trouble": RED, "notice": YELLOW, "well": GREEN}
_MOST_FINDINGS: Final = 3
_NARROWEST: Final = 12


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen."""

    text: str
    style: str = PLAIN


Row = Mapping[str, Any]

SORTS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "trouble": lambda _: 0,  # as the server sorts
    "end": lambda row: row["ends_in"] if row.get("ends_in") is not None else float("inf"),
    "client": lambda row: (row.get("client", ""), row.get("audience", "")),
    "asked": lambda row: row["asked_ago"] if row.get("asked_ago") is not None else float("inf"),
}


@dataclass(frozen=True, slots=True)
class View:
    """What the reader chose.

    Attributes:
        typing: the filter as it is being typed, None if it is not.
        stale: since when the screen is not refreshed, and why.
        has_ended: the reader has seen enough.
    """

    sort: str = "trouble"
    find: str = ""
    typing: str | None = None
    stale: str = ""
    has_ended: bool = False


def screen(snapshot: Snapshot, view: View, width: int, height: int) -> list[Line]:
    """At most `height` lines, none wider than `width` columns."""
    top = [*_head(snapshot, view, width), Line("")]
    bottom = Line(_prompt(view))
    table = _table(snapshot, view, width, height - len(top) - 1)
    return [Line(_cut(line.text, width), line.style) for line in [*top, *table, bottom]][-height:]


def _head(snapshot: Snapshot, view: View, width: int) -> list[Line]:
    replica, store, keys = part(snapshot, "replica"), part(snapshot, "store"), part(snapshot, "keys")
    who = f"{replica.get('name', '')} {replica.get('version', '')}, up {shown(number(replica, 'up_for'))}"
    sentence = visible(str(snapshot.get("sentence", "")))
    first = Line(_apart(sentence, visible(who), width), f"{BOLD};{_LEVELS.get(str(snapshot.get('level')), PLAIN)}")
    found = [
        Line(f"  {visible(str(finding.get('text', '')))}", _LEVELS.get(str(finding.get("level")), PLAIN))
        for finding in rows(snapshot, "findings")[:_MOST_FINDINGS]
    ]
    stale = [Line(visible(view.stale), RED)] if view.stale else []
    said = (
        f"calls {rate(replica)}/s, {visible(str(replica.get('in_flight', UNKNOWN)))} in flight   "
        f"tokens {sum(keys.get('by_life') or [0])} live of {visible(str(keys.get('total', 0)))} keys   "
        f"store {store_state(store)}, p99 {took(part(store, 'latency').get('p99'))}"
    )
    return [first, *stale, *found, Line(said)]


def _table(snapshot: Snapshot, view: View, width: int, height: int) -> list[Line]:
    ratios = {row.get("name"): _ratio(row) for row in rows(snapshot, "clients")}
    found = sorted(rows(part(snapshot, "keys"), "rows"), key=SORTS[view.sort])
    heads = ("CLIENT", "AUDIENCE", "STATE", "ENDS", "REFRESH", "WATCHES", "ASKED", "PER POST", "LAST FAILURE")
    cells = [_cells(row, ratios) for row in found[: max(0, height - 1)]]
    widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
    spare = sum(widths) + 2 * (len(widths) - 1) - width
    if spare > 0:
        widths[1] = max(_NARROWEST, widths[1] - spare)
    lines = [Line(_joined(heads, widths), DIM)]
    lines += [
        Line(_joined(each, widths), _STYLES.get(str(row.get("state")), PLAIN))
        for each, row in zip(cells, found, strict=False)
    ]
    if not cells:
        lines.append(Line("no key matches" if view.find else "no keys", DIM))
    return lines


def _cells(row: Row, ratios: Mapping[Any, str]) -> Sequence[str]:
    scopes = " ".join(map(str, row.get("scopes") or ()))
    return (
        visible(str(row.get("client", ""))),
        visible(f"{row.get('audience') or UNKNOWN} {scopes}".strip()),
        visible(str(row.get("state", ""))),
        _in(row.get("ends_in")),
        _in(row.get("refresh_in")),
        visible(str(row.get("watchers") or UNKNOWN)),
        _in(row.get("asked_ago")),
        ratios.get(row.get("client"), UNKNOWN),
        visible(str(row.get("failure") or "")),
    )


def _in(seconds: Any) -> str:
    if not isinstance(seconds, (int, float)):
        return UNKNOWN
    return shown(seconds) if seconds > 0 else "now"


def _ratio(client: Row) -> str:
    served, posts = client.get("served"), client.get("posts")
    return f"{served / posts:,.0f}" if isinstance(served, int) and isinstance(posts, int) and posts else UNKNOWN


def _prompt(view: View) -> str:
    if view.typing is not None:
        return f"/{visible(view.typing)}_   Enter: filter   Esc: leave it"
    found = f", filter: {visible(view.find)}" if view.find else ""
    return f"q quit   s sort (by {view.sort})   / filter{found}"


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(_padded(_cut(cell, width), width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _apart(left: str, right: str, width: int) -> str:
    gap = width - _width(left) - _width(right)
    return f"{left}{' ' * gap}{right}" if gap >= 2 else left


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - _width(text))


def _cut(text: str, width: int) -> str:
    """With an ellipsis, if it is too wide."""
    if _width(text) <= width:
        return text
    kept, room = "", max(0, width - 1)
    for letter in text:
        room -= _width(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept}…" if width > 0 else ""


def _width(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )
