"""The results of the suite in the documents: docs/reference/conformance.md, and a row of a table in README.md.

`python -m conformance.table` says whether both are what conformance/results.json gives, whether these results have the
suite's cases and languages, and whether a must is open. `--write` makes both; `--write FILE` first takes the results of
a whole run from there, as `make conformance` does.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from conformance.harness.catalogue import CASES, MAY
from conformance.harness.languages import EXCUSED, MAY_HAVE, MUSTS, NAMES, TITLES
from conformance.harness.results import FAILED, PASSED, Results, write
from conformance.harness.testee import ROOT

RESULTS: Final = ROOT / "conformance" / "results.json"
PAGE: Final = ROOT / "docs" / "reference" / "conformance.md"
README: Final = ROOT / "README.md"
ROW: Final = re.compile(r"^\| \[Conformance\].*$", re.MULTILINE)
COLUMNS: Final = (("python", "python-threads"), ("go",), ("java",), ("node",), ("rust",))
"""Of the table in README.md; its head is written by hand."""

_INTRO: Final = """\
<!-- Written by `make conformance`. Do not edit. -->
# Conformance

The [conformance suite](https://github.com/mintonce/mintonce/tree/main/conformance) holds the clients of all languages
to [one specification](client.md). It runs a small program in the client's language, tells it what to do, and looks at
what arrives at the servers. The table has how many tests of a case pass.
"""


def page(results: Results) -> str:
    """The whole page."""
    heads = [TITLES[name] for name in NAMES]
    cases = [_row(str(case), title, *(_cell(results[name], case) for name in NAMES)) for case, title in CASES.items()]
    clients = [
        _row(TITLES[name], results[name]["runtime"], _adapters(results[name], "http"), _adapters(results[name], "grpc"))
        for name in NAMES
    ]
    return "\n".join(
        [
            _INTRO,
            *_table(_row("", "Case", *heads), cases),
            "",
            *_reasons(results),
            "## Run with",
            "",
            *_table(_row("Client", "On", "HTTP adapters", "gRPC adapters"), clients),
            "",
        ]
    )


def row(results: Results) -> str:
    """What README.md says: how many cases pass."""
    cells: list[str] = []
    for names in COLUMNS:
        first, *others = (str(_passed(results[name])) for name in names)
        more = [f"{name.rpartition('-')[2]}: {count}" for name, count in zip(names[1:], others, strict=True)]
        cells.append(f"{first} ({', '.join(more)})" if more else first)
    return _row(f"[Conformance](docs/reference/conformance.md): passed of {len(CASES)} cases", *cells)


def faults(results: Results) -> Iterator[str]:
    """Why these results are not those of a suite that all clients pass."""
    for name in NAMES:
        if name not in results:
            yield f"{name} was not run"
        elif why_not := results[name]["why_not"]:
            yield f"{name}: {why_not}"
        else:
            yield from (f"{name}: {fault}" for fault in _faults(name, results[name]))
    yield from (f"there is no {name}" for name in results if name not in NAMES)


def complaints() -> list[str]:
    """What is wrong with the results and the documents, without running anything."""
    if not RESULTS.exists():
        return [f"{RESULTS.name} is missing"]
    results: Results = json.loads(RESULTS.read_text())
    found = [f"{RESULTS.name}: {fault}" for fault in faults(results)]
    if found:
        return found
    if not PAGE.exists() or PAGE.read_text() != page(results):
        found.append(f"{PAGE.name} is not what {RESULTS.name} gives")
    if ROW.findall(README.read_text()) != [row(results)]:
        found.append(f"{README.name}: the row of conformance is not what {RESULTS.name} gives")
    return found


def _faults(name: str, result: dict[str, Any]) -> Iterator[str]:
    cases: dict[str, dict[str, int]] = result["cases"]
    for case in CASES:
        outcomes = cases.get(str(case), {})
        if not outcomes:
            yield f"case {case} was not run"
        if FAILED in outcomes:
            yield f"case {case} fails"
        for why in outcomes:
            if why not in (PASSED, FAILED) and not _is_excused(name, case, why):
                yield f"case {case} is open: {why}"
    yield from (f"there is no case {case}" for case in cases if int(case) not in CASES)
    for feature in MUSTS:
        if not any(each.startswith(feature) for each in result["features"]) and (name, feature) not in EXCUSED:
            yield f"the feature {feature.rstrip(':')} is missing"


def _is_excused(name: str, case: int, why: str) -> bool:
    feature = why.removeprefix("unsupported: ")
    return case in MAY or feature in MAY_HAVE or (name, feature) in EXCUSED


def _passes(result: dict[str, Any], case: int) -> bool:
    outcomes = result["cases"][str(case)]
    return PASSED in outcomes and FAILED not in outcomes


def _passed(result: dict[str, Any]) -> int:
    return sum(_passes(result, case) for case in CASES)


def _cell(result: dict[str, Any], case: int) -> str:
    return f"✓ {result['cases'][str(case)][PASSED]}" if _passes(result, case) else "–"


def _adapters(result: dict[str, Any], kind: str) -> str:
    return ", ".join(each.partition(":")[2] for each in result["features"] if each.startswith(f"{kind}:"))


def _reasons(results: Results) -> Iterator[str]:
    """What was left out, and why."""
    found = False
    for name in NAMES:
        for case in CASES:
            for why, count in results[name]["cases"][str(case)].items():
                if why != PASSED:
                    feature = why.removeprefix("unsupported: ")
                    reason = EXCUSED.get((name, feature), why)
                    yield f"- {TITLES[name]}, case {case}, {count} tests left out: {reason}."
                    found = True
    if found:
        yield ""


def _table(head: str, rows: list[str]) -> list[str]:
    return [head, "|" + "---|" * (head.count("|") - 1), *rows]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _take_over(file: Path) -> int:
    """Results of a run that was whole. Of another, the documents say nothing."""
    results: Results = json.loads(file.read_text())
    left_out = [f"{name}: {result['why_not']}" for name, result in results.items() if result["why_not"]]
    gaps = [*faults(results)]
    if gaps:
        print("The table of results stays as it is:", *gaps, sep="\n  ")
    else:
        write(RESULTS, results)
    return gaps != left_out  # what cannot be run on this machine is no failure


def main() -> int:
    """0 if all is well, or was written."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--write"]:
        if arguments[1:] and (code := _take_over(Path(arguments[1]))):
            return code
        results: Results = json.loads(RESULTS.read_text())
        PAGE.write_text(page(results))
        README.write_text(ROW.sub(row(results).replace("\\", r"\\"), README.read_text()))
    found = complaints()
    print(*[f"{each}: run make conformance" for each in found], sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
