"""The environment that the programs run in: requirements.txt, in .cache/interop/programs."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
FOLDER: Final = ROOT / ".cache" / "interop" / "programs"
PYTHON: Final = FOLDER / "bin" / "python"
APPS: Final = HERE / "apps"
CLIENT: Final = ROOT / "client" / "python"


class NotHere(Exception):
    """The environment cannot be made here. The text says why."""


def make() -> None:
    """Install it, unless it is current. Raises NotHere."""
    requirements = HERE / "requirements.txt"
    stamp, wanted = FOLDER / "installed", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(FOLDER)], [str(PYTHON), *install, str(requirements)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
        if done.returncode:
            raise NotHere(f"{' '.join(command[1:4])} failed: {done.stderr.strip().splitlines()[-1:]}")
    stamp.write_text(wanted)


def version(package: str) -> str:
    """Of an installed package; "" for the standard library's."""
    if not package:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
