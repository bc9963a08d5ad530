"""Runs every check of `make lint`, two at a time, and prints the output of those that fail.

`tools/lint.py ruff mypy` runs only those.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from checks import run_all

PYTHON = sys.executable
BIN = Path(PYTHON).parent

# The slow ones first, so that the short ones fill the gaps.
CHECKS: Mapping[str, list[str]] = {
    "mypy": [PYTHON, "-m", "mypy"],
    "pyright": [PYTHON, "tools/node.py", "pyright", "--pythonpath", PYTHON],
    "ruff": [PYTHON, "-m", "ruff", "check", "--quiet", "--output-format", "concise", "."],
    "format": [PYTHON, "-m", "ruff", "format", "--check", "--quiet", "."],
    "imports": [
        "env",
        "PYTHONPATH=server:client/python",
        ".venv-gen/bin/lint-imports",
        "--no-logo",
        "--cache-dir",
        ".cache/import-linter",
    ],
    "cycles": [PYTHON, "tools/house.py", "--cycles"],
    "deptry": [PYTHON, "-m", "deptry", "server", "client/python"],
    "protos": [str(BIN / "buf"), "lint"],
    "breaking": [str(BIN / "buf"), "breaking", "--against", "protos/baseline.binpb"],
    "generated": [".venv-gen/bin/python", "tools/generate.py"],
    "unasync": [PYTHON, "tools/unasync.py"],
    "vectors": [PYTHON, "tools/follower_vectors.py"],
    "conformance": [PYTHON, "-m", "conformance.table"],
    "interop": [PYTHON, "-m", "interop.tables"],
    "sizes": [PYTHON, "tools/sizes.py"],
    "readme": [PYTHON, "tools/readme.py"],
    "hygiene": [PYTHON, "tools/hygiene.py"],
    "audit": [PYTHON, "tools/audit.py"],
    "workflows": [str(BIN / "zizmor"), "--offline", "--no-progress", "--quiet", "--color", "never", ".github"],
}


def main() -> int:
    """0 if every check passed; 2 for a check that does not exist."""
    return run_all("lint", CHECKS, {"PYTHONPATH": "verification"}, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
