"""Runs every check of `make lint`, two at a time, and prints the output of those that fail.

`tools/lint.py ruff mypy` runs only those.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
BIN = Path(PYTHON).parent

# The slow ones first, so that the short ones fill the gaps.
CHECKS: Mapping[str, list[str]] = {
    "mypy": [PYTHON, "-m", "mypy"],
    "pyright": [PYTHON, "tools/node.py", "pyright", "--pythonpath", PYTHON],
    "ruff": [PYTHON, "-m", "ruff", "check", "--quiet", "--output-format", "concise", "."],
    "format": [PYTHON, "-m", "ruff", "format", "--check", "--quiet", "."],
    "imports": [str(BIN / "lint-imports"), "--no-logo", "--cache-dir", ".cache/import-linter"],
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


class Outcome(NamedTuple):
    """The result of a check, and how many seconds it took."""

    name: str
    ok: bool
    output: str
    seconds: float


def run(name: str) -> Outcome:
    """Runs one check. What it caches stays in this folder."""
    start = time.monotonic()
    quiet = os.environ | {"NO_COLOR": "1", "BUF_CACHE_DIR": str(ROOT / ".cache" / "buf"), "PYTHONPATH": "verification"}
    done = subprocess.run(
        CHECKS[name],
        cwd=ROOT,
        env=quiet,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    return Outcome(name, done.returncode == 0, done.stdout.strip(), time.monotonic() - start)


def main() -> int:
    """0 if every check passed; 2 for a check that does not exist."""
    names = sys.argv[1:] or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no such check: {', '.join(unknown)}. There are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    failed: list[str] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for outcome in pool.map(run, names):
            print(f"{outcome.name:<10} {'ok' if outcome.ok else 'FAILED'} ({outcome.seconds:.1f} s)", flush=True)
            if not outcome.ok:
                failed.append(outcome.name)
                print(outcome.output, end="\n\n", flush=True)
    print(f"lint: {len(names) - len(failed)} passed, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
