"""`python -m interop`, with tests/ and verification/ on the path: what `make interop` runs."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from interop import results, tables
from interop.chosen import UnknownSubject
from interop.rows import Row


class _Part(Protocol):
    """A package of this one: `interop.issuers`, for example."""

    def run(self, only: Sequence[str]) -> Iterator[Row]:
        """The rows of these subjects, or of all of them if none is named. Raises UnknownSubject."""
        ...


def main(arguments: Sequence[str]) -> int:
    """0 if all that has worked works, and nothing new fails; 2 for a name that is not known."""
    only = _parser().parse_args(arguments).only
    parts = [only[0]] if only else [part for part in results.PARTS if _exists(part)]
    try:
        lost = [row for part in parts for row in _run(part, only[1:])]
    except UnknownSubject as error:
        print(error, file=sys.stderr)
        return 2
    tables.PAGE.write_text(tables.current())
    for row in lost:
        print(f"lost: {_line(row)}")
    print(f"interop: {len(lost) or 'nothing'} that should work does not any more. The table: {tables.PAGE.name}")
    return bool(lost)


def _run(part: str, names: Sequence[str]) -> Sequence[Row]:
    """Runs one part and stores its results. Returns what has worked and does not."""
    rows: list[Row] = []
    for row in cast(_Part, import_module(f"interop.{part}")).run(names):
        print(f"{part}: {_line(row)}", flush=True)
        rows.append(row)
    before = results.read(part)
    results.write(part, results.merged(before, rows, datetime.now(UTC).date().isoformat()))
    return results.lost(before, rows)


def _line(row: Row) -> str:
    return f"{row.subject} {row.version}: {row.feature}: {row.outcome}" + (f": {row.note}" if row.note else "")


def _exists(part: str) -> bool:
    return find_spec(f"interop.{part}") is not None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make interop", description="Run Mintonce with programs of other projects.")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar=("PART", "NAME"),
        action=_Only,
        help=f"run one part ({', '.join(results.PARTS)}), or only these subjects of it",
    )
    return parser


class _Only(argparse.Action):
    """The first word names a part."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        words = cast("list[str]", values)
        if words[0] not in results.PARTS or not _exists(words[0]):
            parser.error(f"there is no part {words[0]}: use one of {', '.join(filter(_exists, results.PARTS))}")
        setattr(namespace, self.dest, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
