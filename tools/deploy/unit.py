"""Checks the systemd unit: systemd accepts every line, and rates its exposure at most 1.5 of 10."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from checks import ROOT

UNIT = ROOT / "deploy" / "systemd" / "mintonced.service"
MOST = 1.5
OLDEST = 252
"""The first systemd whose rating knows what the unit uses; Debian 12 has it."""
# What a machine that only checks the unit lacks: the program itself.
EXPECTED = re.compile(r"Command /opt/mintonce/venv/bin/mintonced is not executable|man page|SELinux")


def complaints(text: str, rating: str) -> list[str]:
    """`text`: what `systemd-analyze verify` printed; `rating`: the last line of `systemd-analyze security`."""
    found = [line for line in text.splitlines() if UNIT.name in line and not EXPECTED.search(line)]
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", rating)
    if exposure is None:
        found.append(f"systemd-analyze security gave no rating: {rating}")
    elif float(exposure[1]) > MOST:
        found.append(f"{UNIT.name}: the exposure is {exposure[1]}, at most {MOST} is allowed")
    return found


def run(program: str, *arguments: str | Path) -> str:
    """What systemd-analyze prints, in either stream."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def main() -> int:
    """0 if all is well, or if there is no systemd-analyze."""
    program = shutil.which("systemd-analyze")
    if program is None:
        print("left out: the unit, because systemd-analyze is not on PATH (Debian's package systemd has it)")
        return 0
    version = re.search(r"systemd (\d+)", run(program, "--version"))
    if version is None or int(version[1]) < OLDEST:
        print(f"left out: the unit, because systemd-analyze is older than {OLDEST}")
        return 0
    verified = run(program, "verify", UNIT)
    rating = run(program, "security", "--offline=true", "--no-pager", UNIT).strip().rpartition("\n")[2]
    found = complaints(verified, rating)
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
