"""Runs the tests against each mutant: `make mutants`. Exit code 1 if one survives, 2 if the tests cannot be run.

ARGS="idle gap" runs only those with one of these words in their name; ARGS="--report FILE" writes the count as JSON.
"""

import argparse
import json
import sys
from pathlib import Path

from mutants.hunting import CannotHuntError, Verdict, check_without_mutant, hunt
from mutants.mutant import Mutant
from mutants.of_lua import LUA
from mutants.of_policy import POLICY
from mutants.of_python import PYTHON
from mutants.of_token_endpoint import TOKEN_ENDPOINT


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names (default: all mutants)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the count and the table as JSON")
    arguments = parser.parse_args()
    try:
        return _hunt(_chosen(arguments.names), arguments.report)
    except (CannotHuntError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def _hunt(chosen: list[Mutant], report: Path | None) -> int:
    for tests in sorted({mutant.tests for mutant in chosen}):
        check_without_mutant(tests)
    verdicts: list[Verdict] = []
    for mutant in chosen:
        verdicts.append(hunt(mutant))
        where = f"{mutant.file.rpartition('/')[2]}: {mutant.name}"
        print(f"{where:<62} {verdicts[-1].caught_by or 'SURVIVES'}", flush=True)
    caught = sum(1 for verdict in verdicts if verdict.caught_by)
    print(f"\nmutants caught: {caught} of {len(verdicts)}")
    if report:
        report.write_text(_report(verdicts, caught), encoding="utf-8")
    return 0 if verdicts and caught == len(verdicts) else 1


def _chosen(names: list[str]) -> list[Mutant]:
    return [
        mutant
        for mutant in LUA + PYTHON + POLICY + TOKEN_ENDPOINT
        if not names or any(name in mutant.name for name in names)
    ]


def _case(test: str) -> str:
    """Its name, without a parameter that looks like a token."""
    return test.partition("[eyJ")[0]


def _report(verdicts: list[Verdict], caught: int) -> str:
    table = [
        {"file": mutant.file, "mutant": mutant.name, "breaks": mutant.breaks, "caught_by": _case(caught_by)}
        for mutant, caught_by in verdicts
    ]
    return json.dumps({"caught": caught, "of": len(verdicts), "mutants": table}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
