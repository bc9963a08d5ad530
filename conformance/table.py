"""The table of results: docs/reference/conformance.md, and a line of it in README.md.

`python -m conformance.table` checks that page and line have the cases and languages that the suite has, and no open must.
`--write` makes both from the results of a whole run, as `make conformance` does.
"""

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final

from conformance.harness.catalogue import CASES, MAY
from conformance.harness.languages import EXCUSED, NAMES, TITLES
from conformance.harness.results import FAILED, LEFT_OUT, PASSED
from conformance.harness.testee import ROOT

RESULTS: Final = ROOT / ".cache" / "conformance.json"
PAGE: Final = ROOT / "docs" / "reference" / "conformance.md"
README: Final = ROOT / "README.md"
LINE: Final = re.compile(r"<!-- conformance -->(.*?)<!-- /conformance -->", re.DOTALL)
MARKS: Final = {PASSED: "✓", FAILED: "**fails**", LEFT_OUT: "–"}
ROW: Final = re.compile(r"^\| (?P<number>\d+) \| (?P<title>.*?) \| (?P<cells>.*) \|$", re.MULTILINE)

_INTRO: Final = """\
<!-- Written by `make conformance`. Do not edit. -->
# Conformance

The [conformance suite](https://github.com/mintonce/mintonce/tree/main/conformance) holds the clients of all languages to
[one specification](client.md). Each case is one or several tests, which drive a small program in the client's language. ✓: all of them pass. –: left out, for the reason below. Case 36 may be left out by any client, the others by none.
"""


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    heads = [TITLES[name] for name in NAMES]
    rows = [_row(str(case), title, [_mark(results[name], case) for name in NAMES]) for case, title in CASES.items()]
    table = [_row("", "Case", heads), "|---|---|" + "---|" * len(NAMES), *rows]
    adapters = [
        _row("HTTP adapters", "", [_adapters(results[name], "http") for name in NAMES]),
        _row("gRPC adapters", "", [_adapters(results[name], "grpc") for name in NAMES]),
        _row("Run with", "", [results[name]["hello"]["runtime"].partition(",")[0] for name in NAMES]),
    ]
    day = datetime.now(UTC).date().isoformat()
    return "\n".join(
        [_INTRO, *table, "", *_reasons(results), _row("", "", heads), *_under(adapters), "", f"Run of {day}.", ""]
    )


def line(results: dict[str, Any]) -> str:
    """What README.md says."""
    figures = ", ".join(f"{TITLES[name]} {_passed(results[name])}" for name in NAMES)
    return f"Of {len(CASES)} [conformance cases](docs/reference/conformance.md) pass: {figures}."


def complaints() -> list[str]:
    """What is wrong with page and line, without running anything."""
    text = PAGE.read_text() if PAGE.exists() else ""
    rows = {int(row["number"]): row for row in ROW.finditer(text)}
    found = [
        f"{PAGE.name}: case {case} is missing or has another title"
        for case, title in CASES.items()
        if case not in rows or rows[case]["title"] != title
    ]
    found += [f"{PAGE.name}: there is no case {case}" for case in rows if case not in CASES]
    found += [f"{PAGE.name}: {TITLES[name]} is missing" for name in NAMES if f"| {TITLES[name]} |" not in text]
    for case, row in rows.items():
        for name, mark in zip(NAMES, row["cells"].split(" | "), strict=False):
            if mark != MARKS[PASSED] and not _may_be_left_out(name, case, mark):
                found.append(f"{PAGE.name}: case {case} is open for {TITLES[name]}")
    said = LINE.search(README.read_text())
    if said is None or not all(TITLES[name] in said[1] for name in NAMES) or f"Of {len(CASES)} " not in said[1]:
        found.append("README.md: its line of conformance does not have the cases and languages of today")
    return [f"{each}: run make conformance" for each in found]


def missing(results: dict[str, Any]) -> list[str]:
    """Why a table cannot be made of these results."""
    left_out = [f"{name}: {results[name]['why_not']}" for name in NAMES if results.get(name, {}).get("why_not")]
    unknown = [name for name in NAMES if name not in results]
    open_cases = [
        f"{name}: case {case} was not run"
        for name in NAMES
        for case in CASES
        if name in results and not results[name]["why_not"] and str(case) not in results[name]["cases"]
    ]
    return [*left_out, *(f"{name}: was not run" for name in unknown), *open_cases]


def _mark(result: dict[str, Any], case: int) -> str:
    return MARKS[result["cases"][str(case)]]


def _may_be_left_out(name: str, case: int, mark: str) -> bool:
    return mark == MARKS[LEFT_OUT] and (case in MAY or (name, case) in EXCUSED)


def _adapters(result: dict[str, Any], kind: str) -> str:
    features: list[str] = result["hello"]["features"]
    return ", ".join(sorted(each.partition(":")[2] for each in features if each.startswith(f"{kind}:")))


def _passed(result: dict[str, Any]) -> int:
    return sum(how == PASSED for how in result["cases"].values())


def _reasons(results: dict[str, Any]) -> list[str]:
    left_out = [
        f"- {TITLES[name]}, case {case}: {EXCUSED.get((name, case), 'this client does not do it')}."
        for name in NAMES
        for case in CASES
        if results[name]["cases"][str(case)] == LEFT_OUT
    ]
    return [*left_out, ""] if left_out else []


def _under(rows: list[str]) -> list[str]:
    return ["|---|---|" + "---|" * len(NAMES), *rows]


def _row(first: str, second: str, cells: list[str]) -> str:
    return f"| {first} | {second} | {' | '.join(cells)} |"


def main() -> int:
    """0 if all is well, or was written."""
    if "--write" in sys.argv[1:]:
        results = json.loads(RESULTS.read_text())
        if gaps := missing(results):
            print("the table of results stays as it is, since this was not a whole run:", *gaps, sep="\n  ")
            return 0
        PAGE.write_text(page(results))
        README.write_text(LINE.sub(f"<!-- conformance -->{line(results)}<!-- /conformance -->", README.read_text()))
    found = complaints()
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
