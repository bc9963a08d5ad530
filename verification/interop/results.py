"""The committed results of `make interop`: results/PART.json, the newest run of each subject."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from interop.rows import Row

PARTS: Final = ("issuers", "programs", "sdks", "stores")
FOLDER: Final = Path(__file__).parent / "results"
NOT_RUN: Final = "not run"


@dataclass(frozen=True, slots=True)
class SubjectRun:
    """One subject's rows, and the day on which they were made (ISO 8601)."""

    date: str
    rows: tuple[Row, ...]


Runs = dict[str, SubjectRun]
"""By subject, in the order in which a part runs them."""


def read(part: str, folder: Path = FOLDER) -> Runs:
    """The committed runs of a part; none if it never ran."""
    file = folder / f"{part}.json"
    if not file.exists():
        return {}
    stored = cast("dict[str, dict[str, Any]]", json.loads(file.read_text()))
    return {
        subject: SubjectRun(run["date"], tuple(Row(subject=subject, **fields) for fields in run["rows"]))
        for subject, run in stored.items()
    }


def write(part: str, runs: Runs, folder: Path = FOLDER) -> None:
    """One line for each row, so that a change of the results can be read."""
    folder.mkdir(exist_ok=True)
    (folder / f"{part}.json").write_text("{\n" + ",\n".join(_written(runs)) + "\n}\n")


def merged(before: Runs, rows: Sequence[Row], date: str) -> Runs:
    """The runs after new rows came. A subject that could not be run here keeps the results it had."""
    after = dict(before)
    for subject in dict.fromkeys(row.subject for row in rows):
        own = tuple(row for row in rows if row.subject == subject)
        if subject not in before or any(row.outcome != NOT_RUN for row in own):
            after[subject] = SubjectRun(date, own)
    return after


def lost(before: Runs, rows: Sequence[Row]) -> list[Row]:
    """What does not work now though it worked before, or fails without having been tried before.

    A row that was not run is not lost, nor is one that failed before.
    """
    outcomes = {(row.subject, row.feature): row.outcome for run in before.values() for row in run.rows}
    return [row for row in rows if row.outcome in ("refused", "fails") and _is_loss(row, outcomes)]


def _is_loss(row: Row, before: Mapping[tuple[str, str], str]) -> bool:
    was = before.get((row.subject, row.feature), NOT_RUN)
    return was == "works" or (was == NOT_RUN and row.outcome == "fails")


def _written(runs: Runs) -> Iterator[str]:
    for subject, run in runs.items():
        rows = ",\n".join("  " + _line(row) for row in run.rows)
        yield f' {_text(subject)}: {{"date": {_text(run.date)}, "rows": [\n{rows}\n ]}}'


def _line(row: Row) -> str:
    fields = asdict(row)
    del fields["subject"]
    return json.dumps(fields, ensure_ascii=False)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
