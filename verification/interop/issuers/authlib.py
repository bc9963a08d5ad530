"""Authlib (PyPI), in a Flask app."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from interop.issuers.processes import CACHE, answers, prepare, program
from interop.issuers.subject import (
    CLIENT_ID,
    SCOPE,
    Running,
    Subject,
    Workbench,
    secret_client,
    secret_clients,
    signing_clients,
)

from support.nodes import free_ports
from support.signing import jwk

FOLDER: Final = Path(__file__).parent / "authlib_app"
ENVIRONMENT: Final = CACHE / "authlib"
ALGORITHMS_TAKEN: Final = ("RS256", "ES256")
"""For others it says "not recommended": those of joserfc, unless the program names its own."""

TOML: Final = f"""
[issuers.post]
provider = "authlib"
token_url = "$url/oauth/token"
auth = "client_secret_post"

[issuers.basic]
provider = "authlib"
token_url = "$url/oauth/token"

[issuers.signed]
provider = "authlib"
token_url = "$url/oauth/token"
auth = "private_key_jwt"

[issuers.asking]
provider = "authlib"
token_url = "$url/oauth/token"
audience_parameter = "resource"

{secret_clients()}
{secret_client("asking")}
{signing_clients(ALGORITHMS_TAKEN)}
"""


@asynccontextmanager
async def start(bench: Workbench) -> AsyncGenerator[Running]:
    """In an environment of its own. Raises NotHere if the packages cannot be had."""
    python = _installed()
    (port,) = free_ports(1)
    settings = {"port": port, "url": bench.url, "scopes": [SCOPE], "clients": _clients(bench)}
    file = bench.write("authlib.json", json.dumps(settings))
    words = [str(python), str(FOLDER / "server.py"), str(file)]
    async with program(words, bench.folder / "authlib.log", answers(port)):
        yield Running(_version(python), port)


def _clients(bench: Workbench) -> list[dict[str, object]]:
    signing: list[dict[str, object]] = [
        {"id": f"{CLIENT_ID}-{name}", "method": "private_key_jwt", "jwk": jwk(bench.keys[name])}
        for name in ALGORITHMS_TAKEN
    ]
    return [
        {"id": CLIENT_ID, "method": "client_secret_post", "secret": bench.plain},
        {"id": f"{CLIENT_ID}-basic", "method": "client_secret_basic", "secret": bench.plain},
        {"id": f"{CLIENT_ID}-odd", "method": "client_secret_basic", "secret": bench.odd},
        *signing,
    ]


def _installed() -> Path:
    python = ENVIRONMENT / "bin" / "python"
    requirements = FOLDER / "requirements.txt"
    stamp = ENVIRONMENT / ".installed"
    if not stamp.exists() or stamp.stat().st_mtime < requirements.stat().st_mtime:
        prepare([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], what="venv")
        prepare([str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(requirements)], what="PyPI")
        stamp.touch()
    return python


def _version(python: Path) -> str:
    code = "import importlib.metadata; print(importlib.metadata.version('authlib'))"
    return prepare([str(python), "-c", code], what="authlib").strip()


SUBJECT: Final = Subject(
    name="authlib",
    start=start,
    toml=TOML,
    unknown_audience="ignored",
    absent={
        "audience": "it knows neither audience nor resource",
        "several audiences": "it knows neither audience nor resource",
    },
)
