"""The page docs/reference/interop.md, made from results/*.json.

`python -m interop.tables` says whether the page is current, as `make lint` asks; `--write` makes it.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from interop.results import FOLDER, PARTS, Runs, read
from interop.rows import Row

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "interop.md"
MARKS: Final = {"works": "✓", "refused": "–", "fails": "✗", "not run": "not run"}
TITLES: Final = {
    "issuers": "Issuers",
    "programs": "Programs",
    "stores": "Stores",
}
_INTRO: Final = """\
<!-- Written by `make interop`. Do not edit. -->
# What Mintonce was run with

Programs of other projects, run as real processes on one machine, with `mintonced serve` and the clients beside them.
Each table is the result of `make interop`. To run a part again: `make interop ARGS="--only {}"`.

✓ works. – the other program does not offer it. ✗ it should work and does not. *not run*: it could not be tried.
A number leads to the note below the table.
"""


def page(runs: Mapping[str, Runs]) -> str:
    """The whole page. `runs`: by part."""
    shown = {part: own for part, own in runs.items() if own}
    return "\n".join([_INTRO.format("|".join(PARTS)), *(line for part in shown for line in _part(part, shown[part]))])


def _part(part: str, runs: Runs) -> Iterator[str]:
    cells, notes = _cells(runs)
    features = list(dict.fromkeys(row.feature for run in runs.values() for row in run.rows))
    yield from (f"## {TITLES[part]}", "")
    # The longer side goes down, so that the table fits a screen.
    if len(features) >= len(runs):
        yield _row("", *runs)
        yield "|---" * (len(runs) + 1) + "|"
        yield from (_row(feature, *(cells.get((name, feature), "") for name in runs)) for feature in features)
    else:
        yield _row("", *features)
        yield "|---" * (len(features) + 1) + "|"
        yield from (_row(name, *(cells.get((name, feature), "") for feature in features)) for name in runs)
    yield ""
    if notes:
        yield from (f"{number}. {_cell(note)}" for note, number in notes.items())
        yield ""
    yield from ("| Run with | Version | On |", "|---|---|---|")
    yield from (_row(name, run.rows[0].version, run.date) for name, run in runs.items())
    yield ""


def _cells(runs: Runs) -> tuple[dict[tuple[str, str], str], dict[str, int]]:
    """The text of each cell by subject and feature, and the number of each note."""
    notes: dict[str, int] = {}

    def cell(row: Row) -> str:
        mark = MARKS[row.outcome]
        return f"{mark} ({notes.setdefault(row.note, len(notes) + 1)})" if row.note else mark

    return {(row.subject, row.feature): cell(row) for run in runs.values() for row in run.rows}, notes


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
