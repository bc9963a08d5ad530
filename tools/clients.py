"""Runs targets of the clients in other languages, each in its folder: `make clients`.

A language whose toolchain is not on this machine is left out, and the output says so. Exit code 1 if a target fails.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TOOLCHAINS: Final = {"rust": ("cargo",), "java": ("java", "mvn"), "go": ("go",), "node": ()}
"""Programs that must be on PATH. Node comes with `make setup`. The language that takes longest is first."""
TARGETS: Final = ("gen-check", "lint", "test")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, help=f"default: {' '.join(TARGETS)}")
    parser.add_argument("--only", nargs="+", choices=sorted(TOOLCHAINS), default=list(TOOLCHAINS), help="languages")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="languages at a time; not for tests")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(max_workers=arguments.at_once) as pool:
        run = partial(_run, targets=arguments.targets, in_one_piece=arguments.at_once > 1)
        # A list, so that one failure does not keep the other languages from being tested.
        passed = list(pool.map(run, arguments.only))
    return 0 if all(passed) else 1


def _run(language: str, *, targets: Sequence[str], in_one_piece: bool) -> bool:
    """Whether all targets passed. `in_one_piece`: print what one says when it has ended."""
    missing = [program for program in TOOLCHAINS[language] if shutil.which(program) is None]
    if missing:
        print(f"{language}: left out, because {' and '.join(missing)} is not on PATH", flush=True)
        return True
    # What `make clients ARGS=…` was told is not for the Makefile of a language.
    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "ARGS")}
    for target in targets:
        began = time.monotonic()
        done = subprocess.run(
            ["make", "--no-print-directory", "-C", str(ROOT / "client" / language), target],
            env=environ,
            stdout=subprocess.PIPE if in_one_piece else None,
            stderr=subprocess.STDOUT if in_one_piece else None,
            text=True,
            check=False,
        )
        verdict = "FAILED" if done.returncode else "ok"
        print(f"{done.stdout or ''}{language} {target}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
        if done.returncode:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
