"""Runs the tests on a copy of the product with one mutant in it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mutants.mutant import PRODUCT, ROOT, Mutant

LONGEST = 300.0
"""Seconds for the tests of one mutant. A mutant that makes them hang is caught, too."""
FAILED = 1
"""What pytest says when it ran, and a test failed (its documentation, "Exit codes")."""


class Verdict(NamedTuple):
    """What became of a mutant. `caught_by`: the first test that failed, "" if none did."""

    mutant: Mutant
    caught_by: str


class CannotHuntError(Exception):
    """The tests could not be run, so they prove nothing."""


@contextmanager
def copied(mutant: Mutant | None) -> Generator[dict[str, str]]:
    """The environment in which the product is a copy with the mutant in it."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / PRODUCT.name
        shutil.copytree(PRODUCT, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            (copy / mutant.file).write_text(mutant.mutated(), encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        asked = [sys.executable, "-c", "import mintonce_server; print(mintonce_server.__file__)"]
        found = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=True)
        if not found.stdout.startswith(folder):
            raise CannotHuntError(f"the tests would run on {found.stdout.strip()}, not on the copy")
        yield environment


def hunt(mutant: Mutant) -> Verdict:
    """Run its tests until one fails. Raises ValueError for a text that is not there, and CannotHuntError."""
    return Verdict(mutant, _first_failing(mutant.tests, mutant).name)


def check_without_mutant(tests: tuple[str, ...]) -> None:
    """Raises CannotHuntError if a test fails anyhow: whatever it would catch then proves nothing."""
    # Twice, because one failure on a busy machine must not end a hunt of many minutes.
    if _first_failing(tests, None).name and (failing := _first_failing(tests, None)).name:
        raise CannotHuntError(f"{failing.output[-5000:]}\n{failing.name} fails without a mutant, too")


class _Failing(NamedTuple):
    name: str = ""
    output: str = ""


def _first_failing(tests: tuple[str, ...], mutant: Mutant | None) -> _Failing:
    options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    with copied(mutant) as environment:
        command = [sys.executable, "-m", "pytest", *options, *tests]
        try:
            run = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
            )
        except subprocess.TimeoutExpired:
            return _Failing("a test that hangs")
    if run.returncode not in (0, FAILED):
        raise CannotHuntError(f"pytest could not run {tests}\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return _Failing(_name_of_failure(run.stdout), run.stdout) if run.returncode else _Failing()


def _name_of_failure(output: str) -> str:
    found = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", output, re.MULTILINE)
    return found[1] if found else "a test without a name"
