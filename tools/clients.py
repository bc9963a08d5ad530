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
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TOOLCHAINS: Final = {"go": ("go",), "java": ("java", "mvn"), "node": (), "rust": ("cargo",)}
"""Programs that must be on PATH. Node comes with `make setup`."""
TARGETS: Final = ("gen-check", "lint", "test")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, help=f"default: {' '.join(TARGETS)}")
    parser.add_argument("--only", nargs="+", choices=sorted(TOOLCHAINS), default=sorted(TOOLCHAINS), help="languages")
    arguments = parser.parse_args()
    # A list, so that one failure does not keep the other languages from being tested.
    passed = [_run(language, arguments.targets) for language in arguments.only]
    return 0 if all(passed) else 1


def _run(language: str, targets: Sequence[str]) -> bool:
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
            check=False,
        )
        verdict = "FAILED" if done.returncode else "ok"
        print(f"{language} {target}: {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
        if done.returncode:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
