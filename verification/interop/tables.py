"""The page docs/reference/interop.md, made from results/*.json.

`python -m interop.tables` says whether the page is current, as `make lint` asks; `--write` makes it.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from interop.results import FOLDER, PARTS, Runs, read
from interop.rows import Row

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "interop.md"
MARKS: Final = {"works": "✓", "refused": "–", "fails": "✗", "not run": "not run"}
TITLES: Final = {
    "issuers": "Issuers",
    "programs": "Programs",
    "sdks": "SDKs at the token endpoint",
    "stores": "Stores",
}
_INTRO: Final = """\
<!-- Written by `make interop`. Do not edit. -->
# What Mintonce was run with

Programs of other projects, run as real processes on one machine, with `mintonced serve` and the clients beside them.
Each table is the result of `make interop`. To run a part again: `make interop ARGS="--only {}"`.

✓ works. – the other program does not offer it. ✗ it should work and does not. *not run*: it could not be tried.
What there is to say about a cell stands below the table.
"""


def page(runs: Mapping[str, Runs]) -> str:
    """The whole page. `runs`: by part."""
    shown = {part: own for part, own in runs.items() if own}
    return "\n".join([_INTRO.format("|".join(PARTS)), *(line for part in shown for line in _part(part, shown[part]))])


def _part(part: str, runs: Runs) -> Iterator[str]:
    rows = [row for run in runs.values() for row in run.rows]
    marks = {(row.subject, row.feature): MARKS[row.outcome] for row in rows}
    features = list(dict.fromkeys(row.feature for row in rows))
    yield from (f"## {TITLES[part]}", "")
    # The longer side goes down, so that the table fits a screen.
    if len(features) >= len(runs):
        yield from _table(["", *runs], ([each, *(marks.get((name, each), "") for name in runs)] for each in features))
    else:
        yield from _table(
            ["", *features], ([name, *(marks.get((name, each), "") for each in features)] for name in runs)
        )
    for feature in features:
        yield from _notes(feature, [row for row in rows if row.feature == feature and row.note])
    yield from _table(
        ["Run with", "Version", "On"], ([name, run.rows[0].version, run.date] for name, run in runs.items())
    )


def _notes(feature: str, rows: Sequence[Row]) -> Iterator[str]:
    """What is to be said of a feature, once for all subjects of which it is true."""
    if not rows:
        return
    yield from (f"**{feature}**", "")
    for note in dict.fromkeys(row.note for row in rows):
        subjects = ", ".join(row.subject for row in rows if row.note == note)
        yield f"- {subjects}: {_cell(note)}"
    yield ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from (_row(*head), "|---" * len(head) + "|")
    yield from (_row(*row) for row in rows)
    yield ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """On one line, and without what would end a cell or begin HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def current() -> str:
    """The page that the committed results give."""
    return page({part: read(part, FOLDER) for part in PARTS})


def main() -> int:
    """0 if the page is current, or was written."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(current())
        return 0
    if PAGE.exists() and PAGE.read_text() == current():
        return 0
    print(f"{PAGE.name} is not what the results give: PYTHONPATH=verification python -m interop.tables --write")
    return 1


if __name__ == "__main__":
    sys.exit(main())
