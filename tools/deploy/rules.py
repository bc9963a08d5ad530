"""Checks deploy/prometheus with promtool: the rules, their unit tests, and the example of a configuration."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from checks import ROOT
from deploy.promtool import CannotBeHad, promtool

FOLDER = ROOT / "deploy" / "prometheus"
COMMANDS = (
    ["check", "rules", "--lint=all", "--lint-fatal", "mintonce.rules.yaml"],
    ["check", "config", "--syntax-only", "prometheus.yaml"],
    ["test", "rules", "mintonce.rules.test.yaml"],
    ["test", "rules", "mintonce.rules.long.test.yaml"],
)


def complaints(program: Path) -> Iterator[str]:
    """What promtool finds."""
    for arguments in COMMANDS:
        done = subprocess.run(
            [program, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode:
            yield f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


def main() -> int:
    """0 if all is well, or if there is no promtool."""
    try:
        program = promtool()
    except CannotBeHad as error:
        print(f"left out: rules and their unit tests, because {error}")
        return 0
    found = list(complaints(program))
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
