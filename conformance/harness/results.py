"""Notes how each case went for each language."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from conformance.harness.catalogue import number
from conformance.harness.languages import Language

PASSED: Final = "passed"
FAILED: Final = "failed"
_FOLDED: Final = re.compile(r'(?<=": )(?:\{[^{}]*\}|\[[^]]*\])')
"""The innermost objects and lists."""

Results = dict[str, dict[str, Any]]
"""By the language's name: `why_not`, `runtime`, `features`, and `cases`: by the number, how many tests ended how."""


class Recorder:
    """A plugin of pytest. At the end of a run it writes `Results`.

    A test ends as `passed`, as `failed`, or as what the testee said was the reason to leave it out.
    """

    def __init__(self, file: str, languages: Sequence[Language]) -> None:
        self._file = Path(file)
        self._languages = languages
        self._cases: dict[str, dict[int, Counter[str]]] = {}
        self._hellos: dict[str, Any] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """With pytest-xdist, in the process that collects."""
        said = dict(report.user_properties)
        case, languages = number(report.nodeid.rpartition("::")[2]), str(said.get("language", ""))
        if case is None or not languages:
            return
        if hello := said.get("hello"):
            self._hellos[languages] = hello
        if report.when == "call" or report.outcome != "passed":
            for language in languages.split(","):  # several where they work together
                self._cases.setdefault(language, {}).setdefault(case, Counter())[_outcome(report)] += 1

    def pytest_sessionfinish(self) -> None:
        """Whatever happened: what is known is written."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write(self._file, {language.name: self._of(language) for language in self._languages})

    def _of(self, language: Language) -> dict[str, Any]:
        hello = self._hellos.get(language.name, {})
        cases = sorted(self._cases.get(language.name, {}).items())
        return {
            "why_not": language.why_not,
            "runtime": hello.get("runtime", "").partition(",")[0],
            "features": sorted(hello.get("features", ())),
            "cases": {str(case): dict(sorted(outcomes.items())) for case, outcomes in cases},
        }


def write(file: Path, results: Results) -> None:
    """One line for each case, so that a change of the results can be read."""
    text = json.dumps(results, indent=1, ensure_ascii=False, separators=(",", ": "))
    file.write_text(_FOLDED.sub(lambda found: " ".join(found[0].split()), text) + "\n")


def _outcome(report: pytest.TestReport) -> str:
    if report.outcome != "skipped":
        return report.outcome
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return why.removeprefix("Skipped: ")
