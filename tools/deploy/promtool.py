"""promtool, which checks rules and expressions: the one on PATH, of Debian's package, or built from a pinned Go module.

The build takes some minutes on two processors; the package, two seconds. What is made stays in .cache/deploy.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from checks import ROOT

MODULE: Final = Path(__file__).parent / "go-promtool"
CACHE: Final = ROOT / ".cache" / "deploy"


class CannotBeHad(Exception):
    """This machine lacks what the program comes by. The text says what was tried."""


def promtool() -> Path:
    """The path of the program. Raises CannotBeHad."""
    with _one_at_a_time():
        program, tried = CACHE / "promtool" / "promtool", list[str]()
        if _is_current(program):
            return program
        if found := shutil.which("promtool"):
            return Path(found)
        tried.append("promtool is not on PATH")
        if folder := debian_folder():
            return folder / "usr" / "bin" / "promtool"
        tried.append("there is no package of Debian's")
        if shutil.which("go") is None:
            tried.append("go is not on PATH")
        elif error := _built(program):
            tried.append(f"go could not build it ({error})")
        else:
            return program
        raise CannotBeHad("; ".join(tried))


@contextmanager
def _one_at_a_time() -> Generator[None]:
    """Two checks want it at the same time: the second one waits for what the first one builds."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "promtool.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_current(program: Path) -> bool:
    stamp = program.with_name("go.sum")
    return program.exists() and stamp.exists() and stamp.read_bytes() == (MODULE / "go.sum").read_bytes()


def _built(program: Path) -> str:
    """Build it; the last line of the error, or "". Without service discovery, which is most of its code."""
    environ = {**os.environ, "GOBIN": str(program.parent), "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    command = ["go", "install", "-tags", "remove_all_sd", "-ldflags", "-s -w", "tool"]
    try:
        done = subprocess.run(
            command, cwd=MODULE, env=environ, capture_output=True, text=True, check=False, timeout=570
        )
    except subprocess.TimeoutExpired:
        return "it took too long; what is built so far is kept: run this again"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    shutil.copy(MODULE / "go.sum", program.with_name("go.sum"))  # last, so an interrupted step runs again
    return ""


def debian_folder() -> Path | None:
    """Debian's package `prometheus`, unpacked and not installed: that needs no root. None: it cannot be had."""
    folder = CACHE / "debian-prometheus"
    program = folder / "usr" / "bin" / "promtool"
    if program.exists():
        return folder
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, capture_output=True, check=False, timeout=120)
    for package in folder.glob("prometheus_*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], capture_output=True, check=False, timeout=60)
    return folder if program.exists() else None
