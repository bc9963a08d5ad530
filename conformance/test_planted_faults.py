"""The suite is tested itself: a client with a mistake in it is found, by the case that is about that mistake."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance.faults.catalogue import FAULTS
from conformance.harness.testee import ROOT

PYTEST = (sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--timeout=60")
ENDED = "the testee has ended"
PLANTED = {name: fault for name, fault in FAULTS.items() if fault is not None}


@pytest.mark.slow
@pytest.mark.timeout(660)
def test_every_fault_is_found(tmp_path: Path) -> None:
    """And without it the same test passes. (One test, since they all are one run of pytest.)"""
    outcomes = run(tmp_path / "report.xml")
    planted = {name: outcomes[name_of(fault.node(name))] for name, fault in PLANTED.items()}
    without = {name: outcomes[name_of(fault.node("none"))] for name, fault in PLANTED.items()}
    assert planted == dict.fromkeys(PLANTED, "found")
    assert without == dict.fromkeys(PLANTED, "passed")


def run(report: Path) -> dict[str, str]:
    """How each test went: those that must find a fault, with the fault and without any."""
    testees = [f"--testee={name}={sys.executable} -m conformance.faults {name}" for name in FAULTS]
    nodes = {fault.node(testee) for name, fault in PLANTED.items() for testee in (name, "none")}
    subprocess.run(
        [*PYTEST, f"--junitxml={report}", *testees, *sorted(nodes)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=600,
    )
    return read(report)


def read(report: Path) -> dict[str, str]:
    """By the test's own name."""
    return {case.attrib["name"]: _outcome(case) for case in ET.parse(report).getroot().iter("testcase")}


def _outcome(case: ET.Element) -> str:
    """A leak shows when the test is over. A testee that could not begin or broke down has found nothing."""
    for child in case:
        if ENDED in (child.text or ""):
            return "error"
        if child.tag == "failure" or "on teardown" in child.attrib.get("message", ""):
            return "found"
        if child.tag in ("error", "skipped"):
            return child.tag
    return "passed"


def name_of(node: str) -> str:
    return node.rpartition("::")[2]
