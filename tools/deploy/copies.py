"""Checks that the chart has the same rules and dashboards as deploy/. A chart can only read files in its own folder.

`make deploy-files` copies them again.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from checks import ROOT

DEPLOY = ROOT / "deploy"
FILES = DEPLOY / "helm" / "mintonce" / "files"


def pairs(deploy: Path, files: Path) -> dict[Path, Path]:
    """Each copy, with what it is a copy of. Also the places where a copy or its source is missing."""
    dashboards = {path.name for folder in (deploy / "grafana", files / "dashboards") for path in folder.glob("*.json")}
    rules = {files / "mintonce.rules.yaml": deploy / "prometheus" / "mintonce.rules.yaml"}
    return rules | {files / "dashboards" / name: deploy / "grafana" / name for name in sorted(dashboards)}


def complaints(deploy: Path, files: Path) -> Iterator[str]:
    """What differs."""
    for copy, source in pairs(deploy, files).items():
        if not source.is_file():
            yield f"{source} is missing, or {copy} is too much"
        elif not copy.is_file() or copy.read_bytes() != source.read_bytes():
            yield f"{copy} is not what {source} is: make deploy-files"


def write(deploy: Path, files: Path) -> None:
    """Makes the copies."""
    for copy, source in pairs(deploy, files).items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copyfile(source, copy)
        else:
            copy.unlink(missing_ok=True)


def main() -> int:
    """0 if all copies are true."""
    if sys.argv[1:] == ["--write"]:
        write(DEPLOY, FILES)
    found = list(complaints(DEPLOY, FILES))
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
