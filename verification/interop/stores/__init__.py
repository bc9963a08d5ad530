"""Servers that keep Mintonce's data, and what works on each."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from interop.rows import Row
from interop.stores.features import FEATURES, tried
from interop.stores.servers import NotHere, own, servers


def run(only: Sequence[str]) -> Iterator[Row]:
    """The rows of these servers, or of all of them if none is named."""
    for server in servers():
        if only and server.name not in only:
            continue
        try:
            binary = server.fetch()
        except NotHere as error:
            yield from (Row(server.name, "", feature.name, "not run", str(error)) for feature in FEATURES)
            continue
        version = _version(binary) + ", our own build" * (server.name in own())
        yield from (tried(feature, server.name, version, binary) for feature in FEATURES)


def _version(binary: Path) -> str:
    """As the server says it, such as 7.0.15."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(r"v=(\S+)", said)
    return found[1] if found else "unknown"
