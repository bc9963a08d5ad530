"""Notes how each case went for each language."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from conformance.harness.catalogue import number
from conformance.harness.languages import Language

PASSED: Final = "passed"
FAILED: Final = "failed"
LEFT_OUT: Final = "left out"
_WORST_FIRST: Final = (FAILED, PASSED, LEFT_OUT)


class Recorder:
    """A plugin of pytest. At the end of a run it writes `{language: {…, "cases": {number: outcome}}}`.

    A case of several tests failed when one did, and was left out when all were.
    """

    def __init__(self, file: str, languages: Sequence[Language]) -> None:
        self._file = Path(file)
        self._languages = languages
        self._cases: dict[str, dict[int, str]] = {}
        self._hellos: dict[str, object] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """With pytest-xdist, in the process that collects."""
        said = dict(report.user_properties)
        case, languages = number(report.nodeid.rpartition("::")[2]), str(said.get("language", ""))
        if case is None or not languages:
            return
        if hello := said.get("hello"):
            self._hellos[languages] = hello
        if report.when == "call" or report.outcome != "passed":
            outcome = {"passed": PASSED, "failed": FAILED}.get(report.outcome, LEFT_OUT)
            for language in languages.split(","):  # several where they work together
                cases = self._cases.setdefault(language, {})
                cases[case] = min(cases.get(case, outcome), outcome, key=_WORST_FIRST.index)

    def pytest_sessionfinish(self) -> None:
        """Whatever happened: what is known is written."""
        found = {
            language.name: {
                "why_not": language.why_not,
                "hello": self._hellos.get(language.name),
                "cases": {str(case): how for case, how in sorted(self._cases.get(language.name, {}).items())},
            }
            for language in self._languages
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(found, indent=1) + "\n")
