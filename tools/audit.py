"""Checks what we install. Without options, offline (`make lint`): pins, hashes, sources, licences.

`--online` (`make audit`) queries the databases of known vulnerabilities with pip-audit and npm. Exit code 3: they could
not be reached, and nothing is known.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

from sizes import ROOT, files

PIP_AUDIT: Final = "pip-audit>=2.10,<3"
PIN: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.!+_-]+)(?: ; (?P<marker>[^#]+?))?"
    r"(?: --hash=sha256:[0-9a-f]{64})+"
)
APART: Final = "gen.txt"
"""Its environment is its own, and it needs an older protobuf."""

# Of what the server ships with. Copyleft of a file (MPL) applies only to changes of that file.
LICENCES: Final = (
    "MIT",
    "Apache",
    "BSD",
    "PSF",
    "Python Software Foundation",
    "ISC",
    "MPL",
    "Mozilla Public License 2",
)
COPYLEFT: Final = re.compile(r"GPL|General Public|SSPL|BUSL|Commons Clause", re.IGNORECASE)

UNREACHABLE: Final = re.compile(
    "could not be audited|ConnectionError|ServiceError|Max retries|timed? ?out|ENOTFOUND|ECONNREFUSED|EAI_AGAIN"
    "|audit endpoint",
    re.IGNORECASE,
)


def pins(text: str) -> Iterator[str]:
    """The logical lines of a requirements file: comments dropped, continued lines joined."""
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def of_requirements(name: str, text: str) -> list[str]:
    """Anything but `name==version` with hashes: an index, a URL, a path, a range, a pin without a hash."""
    others = [pin for pin in pins(text) if not PIN.fullmatch(pin)]
    return [f"{name}: not a pin with hashes: {pin.split(' --hash')[0]}" for pin in others]


def of_versions(requirements: Mapping[str, str]) -> list[str]:
    """Two versions of one package: files that go into the same environment must agree."""
    seen: dict[tuple[str, str], dict[str, str]] = {}
    for name, text in requirements.items():
        for found in filter(None, map(PIN.fullmatch, pins(text))):
            if not name.endswith(APART):
                seen.setdefault((found["name"], found["marker"] or ""), {})[name] = found["version"]
    return [f"{package[0]}: {versions}" for package, versions in seen.items() if len(set(versions.values())) > 1]


def of_node(name: str, text: str) -> list[str]:
    """A package of npm without its hash, or from anywhere but the registry that the user has configured."""
    packages: dict[str, dict[str, object]] = json.loads(text).get("packages", {})
    found = [] if packages else [f"{name}: has no packages: not a lock file of npm 7 or newer"]
    for path, package in packages.items():
        if not path:
            continue  # our own
        if not str(package.get("integrity", "")).startswith("sha512-"):
            found.append(f"{name}: {path} has no sha512 integrity")
        if "resolved" in package or "link" in package:
            found.append(f"{name}: {path} says where it comes from")
    return found


def of_commands(name: str, text: str) -> list[str]:
    """An installation that does not check hashes, or that runs install scripts of packages."""
    found: list[str] = []
    for line in text.splitlines():
        if re.search(r"(PIP_INSTALL\)|pip\b.* install\b).* -r ", line) and "--require-hashes" not in line:
            found.append(f"{name}: pip without --require-hashes: {line.strip()}")
        if re.search(r"\bnpm (ci|install|i)\b", line) and "--ignore-scripts" not in line:
            found.append(f"{name}: npm without --ignore-scripts: {line.strip()}")
    return found


def of_licences(text: str) -> list[str]:
    """Dependencies of the server whose licence is not on our list."""
    names = [found["name"] for found in filter(None, map(PIN.fullmatch, pins(text)))]
    told = {name: licence(name) for name in names}
    return [
        f"{name}: which licence is {said!r}?" for name, said in told.items() if said is not None and not known(said)
    ]


def licence(name: str) -> str | None:
    """As the package states it; None: it is not installed on this platform."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return None
    expressions, texts = (said.get_all(field) or [] for field in ("License-Expression", "License"))
    classifiers = [line for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    return "; ".join(expressions or classifiers or texts)


def known(said: str) -> bool:
    """Whether we may ship it."""
    return any(word in said for word in LICENCES) and not COPYLEFT.search(said)


def offline(names: Iterable[str]) -> list[str]:
    """All complaints that need no network."""
    texts = {name: (ROOT / name).read_text() for name in names if _is_ours(name)}
    requirements = {name: text for name, text in texts.items() if name.startswith("requirements/")}
    found = of_versions(requirements) + of_licences(requirements.get("requirements/server.txt", ""))
    for name, text in texts.items():
        if name in requirements:
            found += of_requirements(name, text)
        elif name.endswith("package-lock.json"):
            found += of_node(name, text)
        else:
            found += of_commands(name, text)
    return found


def _is_ours(name: str) -> bool:
    last = name.rpartition("/")[2]
    return name.startswith("requirements/") or last in ("package-lock.json", "Makefile", "Dockerfile")


def online(names: Iterable[str]) -> int:
    """Queries the databases. 0: no known vulnerability; 1: at least one; 3: not every database answered."""
    results: list[int] = []
    with tempfile.TemporaryDirectory() as scratch:
        programs = Path(scratch) / "bin"
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PIP_AUDIT]
        if subprocess.run(pip, check=False, timeout=300).returncode:
            print("audit: pip-audit could not be installed: nothing was looked up", file=sys.stderr)
            return 3
        for name in names:
            if name.startswith("requirements/"):
                options = [
                    "--strict",
                    "--require-hashes",
                    "--disable-pip",
                    "--progress-spinner",
                    "off",
                    "--requirement",
                    name,
                ]
                results.append(_ask(name, [str(programs / "pip-audit"), *options]))
            elif name.endswith("package-lock.json"):
                folder = str(Path(name).parent)
                results.append(_ask(name, [sys.executable, "tools/node.py", "npm", "audit", "--prefix", folder]))
    return 1 if 1 in results else max(results, default=0)


def _ask(name: str, command: list[str]) -> int:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    said = done.stdout + done.stderr
    result = verdict(done.returncode, said)
    words = {0: "no known vulnerability", 1: "KNOWN VULNERABILITIES, or it failed", 3: "NOT looked up: no database"}
    print(
        f"{name}: {words[result]}", said[-4000:] if result == 1 else said.strip()[-200:] if result else "", flush=True
    )
    return result


def verdict(returncode: int, said: str) -> int:
    """0, 1 or 3, as `online` has them. A failure that names a vulnerability is a finding, whatever else it says.

    pip-audit ends with 0, too, when a mirror of the index does not know what it asks: nothing was looked up then.
    """
    if re.search(r"Found \d+ known vulnerabilit|[1-9]\d* (\w+ severity )?vulnerabilit", said):
        return 1
    if UNREACHABLE.search(said):
        return 3
    return int(returncode != 0)


def main() -> int:
    """0 if all is well."""
    names = list(files())
    if sys.argv[1:] == ["--online"]:
        return online(names)
    found = offline(names)
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
