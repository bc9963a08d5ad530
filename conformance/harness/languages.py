"""Which testees there are, and how to start them."""

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from conformance.harness.testee import ROOT

PYTHON: Final = ("python", "python-threads")
FOLDERS: Final = ("go", "java", "node", "rust")
NAMES: Final = (*PYTHON, *FOLDERS)
TITLES: Final = {
    "python": "Python (asyncio)",
    "python-threads": "Python (threads)",
    "go": "Go",
    "java": "Java",
    "node": "TypeScript",
    "rust": "Rust",
}

MUSTS: Final = ("http:", "grpc:", "cancel", "rotate", "list", "dns")
"""Features that each language must have; a colon at the end means at least one of these."""
MAY_HAVE: Final = ("unix", "http_proxy", "keys:sec1", "keys:pkcs1")
"""Features that a language may have; their tests are left out without them."""
EXCUSED: Final = {("python-threads", "cancel"): "a thread that waits cannot be cancelled"}
"""Musts that a client lacks, by name and feature, and why."""


@dataclass(frozen=True)
class Language:
    """How to start a testee; or, with no command, why it is left out."""

    name: str
    command: tuple[str, ...] = field(repr=False)
    why_not: str = ""

    @property
    def is_here(self) -> bool:
        return bool(self.command)


@cache
def find(name: str) -> Language:
    """The testee of a language, as it is built now."""
    if name in PYTHON:
        threads = ("--threads",) if name == "python-threads" else ()
        return Language(name, (sys.executable, "-m", "conformance.testees.python", *threads))
    return built(name, "testee")


def built(name: str, program: str) -> Language:
    """A program in that language: its Makefile knows the command as PROGRAM-command."""
    folder = ROOT / "client" / name
    if not (folder / "Makefile").is_file():
        return Language(name, (), f"client/{name} is not there")
    try:
        said = subprocess.run(
            ["make", "-s", "--no-print-directory", "-C", str(folder), f"{program}-command"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Language(name, (), f"make -C client/{name} {program}-command: {type(error).__name__}")
    command = tuple(shlex.split(said.stdout.strip()))
    if said.returncode or not command:
        why = (said.stderr.strip().splitlines() or ["no command"])[-1]
        return Language(name, (), f"make -C client/{name} {program}-command: {why}")
    missing = [path for part in command if part.startswith("/") for path in part.split(":") if not _is_there(path)]
    if shutil.which(command[0]) is None or missing:
        return Language(name, (), f"not built ({(missing or command)[0]} is not there): make -C client/{name} testee")
    return Language(name, command)


def _is_there(path: str) -> bool:
    """Also of a class path's entry, which may end with a star."""
    return Path(path.removesuffix("*")).exists()


def named(text: str) -> Language:
    """NAME=COMMAND, for a testee that is no language's own."""
    name, equals, command = text.partition("=")
    if not equals or not command.strip():
        raise ValueError(f"a testee is NAME=COMMAND, not {text!r}")
    return Language(name, tuple(shlex.split(command)))
