"""Generates client/python/mintonce/v1 from protos/ (--write), or says whether it is current. Runs in .venv-gen."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "protos"
PACKAGE = Path("mintonce/v1")
COMMITTED = ROOT / "client" / "python" / PACKAGE


def generate(target: Path) -> None:
    """Runs protoc with the plugins beside this Python. protoc and buf generate different bytes: protoc it is."""
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *outputs, *sources]
    # The mypy plugins report each file that they write; only a failure is worth reading.
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)


def generated(folder: Path) -> dict[str, str]:
    """The generated files of a folder: name → text. `__init__.py` is written by hand."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*_pb2*"))}


def main() -> int:
    """0 if the committed code is current, or was made so."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        wanted, there = generated(Path(scratch) / PACKAGE), generated(COMMITTED)
        stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        if "--write" not in sys.argv[1:]:
            for name in stale:
                print(f"client/python/{PACKAGE / name} is not what protos/ gives: run make gen, and commit it")
            return bool(stale)
        for name in stale:
            (COMMITTED / name).unlink(missing_ok=True)
            if name in wanted:
                shutil.copyfile(Path(scratch) / PACKAGE / name, COMMITTED / name)
            print(f"renewed client/python/{PACKAGE / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
