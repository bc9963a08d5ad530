"""The table of results: what it takes for a whole run that all clients pass, and what it makes of it."""

from copy import deepcopy
from typing import Any

import pytest

from conformance import table
from conformance.harness.catalogue import CASES, number
from conformance.harness.languages import NAMES
from conformance.harness.results import FAILED, PASSED, Results
from conformance.harness.testee import ROOT

FEATURES = ["cancel", "dns", "grpc:one", "http:one", "http:two", "list", "rotate"]


@pytest.fixture
def results() -> Results:
    """Every client passes every case."""
    one: dict[str, Any] = {
        "why_not": "",
        "runtime": "Some 1.2",
        "features": FEATURES,
        "cases": {str(case): {PASSED: 2} for case in CASES},
    }
    return {name: deepcopy(one) for name in NAMES}


def test_a_whole_run_has_no_faults(results: Results) -> None:
    """And it is in the documents: each case, each language, each adapter."""
    assert [*table.faults(results)] == []
    page = table.page(results)
    assert all(f"| {case} | {title} | ✓ 2 |" in page for case, title in CASES.items())
    assert "one, two" in page
    assert table.row(results).count(f" {len(CASES)} ") == 6


@pytest.mark.parametrize(
    ("case", "outcomes", "fault"),
    [
        (7, {}, "go: case 7 was not run"),
        (7, {PASSED: 3, FAILED: 1}, "go: case 7 fails"),
        (7, {PASSED: 3, "unsupported: no such op": 1}, "go: case 7 is open: unsupported: no such op"),
        (22, {"unsupported: cancel": 6}, "go: case 22 is open: unsupported: cancel"),
    ],
)
def test_an_open_must_is_a_fault(results: Results, case: int, outcomes: dict[str, int], fault: str) -> None:
    """Also where it is only a part of a case."""
    results["go"]["cases"][str(case)] = outcomes
    assert [*table.faults(results)] == [fault]


def test_what_a_client_may_lack(results: Results) -> None:
    """Is no fault. The page has the reason."""
    results["go"]["cases"]["36"] = {"unsupported: unix": 1}
    results["python-threads"]["cases"]["22"] = {"unsupported: cancel": 6}
    results["python-threads"]["features"] = [each for each in FEATURES if each != "cancel"]
    assert [*table.faults(results)] == []
    assert "case 22, 6 tests left out: a thread that waits cannot be cancelled" in table.page(results)
    assert f"| {len(CASES)} (threads: {len(CASES) - 1}) | {len(CASES) - 1} |" in table.row(results)


def test_a_feature_that_is_missing(results: Results) -> None:
    """Of those that each client must have."""
    results["rust"]["features"] = ["http:one", "cancel", "rotate", "list", "dns"]
    assert [*table.faults(results)] == ["rust: the feature grpc is missing"]


def test_a_language_that_is_missing(results: Results) -> None:
    """Not run, or left out."""
    del results["java"]
    results["node"]["why_not"] = "not built"
    assert [*table.faults(results)] == ["java was not run", "node: not built"]


def test_each_case_has_a_test() -> None:
    """And each test's number is that of a case."""
    texts = [file.read_text() for file in (ROOT / "conformance" / "cases").glob("test_*.py")]
    names = [line.partition("def ")[2] for text in texts for line in text.splitlines() if "def test_" in line]
    assert {number(name) for name in names} - {None} == set(CASES)
