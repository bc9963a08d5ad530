"""The suite is tested itself: a client with a mistake in it is found, by the case that is about that mistake."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance.faults.catalogue import FAULTS, Planted
from conformance.harness.testee import ROOT

PLANTED = {name: fault for name, fault in FAULTS.items() if fault is not None}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each test went: those that must find a fault, with the fault and without any."""
    report = tmp_path_factory.mktemp("faults") / "report.xml"
    testees = [f"--testee={name}={sys.executable} -m conformance.faults {name}" for name in FAULTS]
    nodes = {fault.node(testee) for name, fault in PLANTED.items() for testee in (name, "none")}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", f"--junitxml={report}"]
        + ["--timeout=60", *testees, *sorted(nodes)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=600,
    )
    return read(report)


def read(report: Path) -> dict[str, str]:
    """By the test's own name. A leak shows when the test is over; what could not begin has found nothing."""
    return {case.attrib["name"]: _outcome(case) for case in ElementTree.parse(report).getroot().iter("testcase")}


def _outcome(case: ElementTree.Element) -> str:
    for child in case:
        if child.tag == "failure" or "on teardown" in child.attrib.get("message", ""):
            return "found"
        if child.tag in ("error", "skipped"):
            return child.tag
    return "passed"


def name_of(node: str) -> str:
    return node.rpartition("::")[2]


@pytest.mark.slow
@pytest.mark.timeout(660)
@pytest.mark.parametrize("name", PLANTED)
def test_the_fault_is_found(outcomes: dict[str, str], name: str) -> None:
    """And without it the same test passes."""
    fault: Planted = PLANTED[name]
    assert outcomes[name_of(fault.node("none"))] == "passed"
    assert outcomes[name_of(fault.node(name))] == "found"
