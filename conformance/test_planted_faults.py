"""The suite is tested itself: a client with a mistake in it is found, by the case that is about that mistake."""

import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from conformance.faults.catalogue import FAULTS
from conformance.harness.testee import ROOT

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=60")
# One by one, so that the two slowest do not wait for each other.
TWO_AT_A_TIME = ("-n", "2", "--dist", "load", "--maxschedchunk", "1")
ENDED = "the testee has ended"
PLANTED = {name: fault for name, fault in FAULTS.items() if fault is not None and not fault.in_a_fleet}
IN_A_FLEET = {name: fault for name, fault in FAULTS.items() if fault is not None and fault.in_a_fleet}


@pytest.mark.slow
@pytest.mark.timeout(660)
def test_every_fault_is_found(tmp_path: Path) -> None:
    """And without it the same test passes. (One test, since they all are one run of pytest.)"""
    nodes = {fault.node(testee) for name, fault in PLANTED.items() for testee in (name, "none")}
    outcomes = run(tmp_path / "report.xml", ["none", *PLANTED], nodes)
    planted = {name: outcomes[name_of(fault.node(name))] for name, fault in PLANTED.items()}
    without = {name: outcomes[name_of(fault.node("none"))] for name, fault in PLANTED.items()}
    assert planted == dict.fromkeys(PLANTED, "found")
    assert without == dict.fromkeys(PLANTED, "passed")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", IN_A_FLEET)
def test_one_faulty_client_in_a_fleet_is_found(name: str, tmp_path: Path) -> None:
    """Among clients without a fault, by a case for which all of them work together. The suite runs it without, too."""
    node = IN_A_FLEET[name].node(name)
    assert run(tmp_path / "report.xml", ["none", name], {node})[name_of(node)] == "found"


def run(report: Path, testees: Sequence[str], nodes: Collection[str]) -> dict[str, str]:
    """How each of these tests went with these testees."""
    commands = [f"--testee={name}={sys.executable} -m conformance.faults {name}" for name in testees]
    subprocess.run(
        [*PYTEST, *TWO_AT_A_TIME, f"--junitxml={report}", *commands, *sorted(nodes)],
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
