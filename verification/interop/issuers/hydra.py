"""Ory Hydra, built by Go from a pinned module, with everything in memory."""

import json
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

from interop.issuers.processes import CACHE, answers, prepare, program
from interop.issuers.subject import (
    AUDIENCE,
    CLIENT_ID,
    SCOPE,
    SECOND_AUDIENCE,
    Running,
    Subject,
    Workbench,
    secret_client,
    secret_clients,
    signing_clients,
    thumbprint,
)

from support.nodes import free_ports
from support.signing import jwk

FOLDER: Final = Path(__file__).parent / "hydra_build"
MODULE: Final = "github.com/ory/hydra/v2"
PROGRAM: Final = CACHE / "hydra"
BUILT_WITHIN: Final = 3600.0
"""Hundreds of packages, one by one."""
ALGORITHMS_TAKEN: Final = ("RS256", "PS256", "ES256", "ES384", "ES512")
TOML: Final = f"""
[issuers.post]
provider = "hydra"
issuer = "$url"
auth = "client_secret_post"

[issuers.basic]
provider = "hydra"
issuer = "$url"

[issuers.several]
provider = "hydra"
issuer = "$url"

[issuers.signed]
provider = "hydra"
issuer = "$url"
auth = "private_key_jwt"

{secret_clients()}
{secret_client("several")}
{signing_clients(ALGORITHMS_TAKEN, key_id="thumbprint")}
"""


@asynccontextmanager
async def start(bench: Workbench) -> AsyncGenerator[Running]:
    """Raises NotHere without Go."""
    _built()
    port, admin_port = free_ports(2)
    settings = {
        "dsn": "memory",
        "serve": {"public": {"host": "127.0.0.1", "port": port}, "admin": {"host": "127.0.0.1", "port": admin_port}},
        "urls": {"self": {"issuer": bench.url}},
        "secrets": {"system": [token_urlsafe(32)]},
        "strategies": {"access_token": "jwt"},
        "sqa": {"opt_out": True},  # it would report usage
        "log": {"level": "warn"},
    }
    # JSON is YAML, too.
    file = bench.write("hydra.yaml", json.dumps(settings))
    words = [str(PROGRAM), "serve", "all", "--dev", "--config", str(file)]
    async with program(words, bench.folder / "hydra.log", answers(port, "/health/ready"), within=600.0):
        for client in _clients(bench):
            _register(admin_port, client)
        yield Running(_version(), port)


def _register(port: int, client: dict[str, object]) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/admin/clients", json.dumps(client).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10.0):
        pass  # what it says has the secret


def _clients(bench: Workbench) -> Iterator[dict[str, object]]:
    usual: dict[str, object] = {
        "grant_types": ["client_credentials"],
        "scope": SCOPE,
        "audience": [AUDIENCE, SECOND_AUDIENCE],
    }
    secrets = (
        (CLIENT_ID, bench.plain, "client_secret_post"),
        (f"{CLIENT_ID}-basic", bench.plain, "client_secret_basic"),
        (f"{CLIENT_ID}-odd", bench.odd, "client_secret_basic"),
    )
    for client_id, secret, method in secrets:
        yield usual | {"client_id": client_id, "client_secret": secret, "token_endpoint_auth_method": method}
    for name in ALGORITHMS_TAKEN:
        key = {**jwk(bench.keys[name]), "alg": name, "use": "sig", "kid": thumbprint(bench.keys[name])}
        yield usual | {
            "client_id": f"{CLIENT_ID}-{name}",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": name,
            "jwks": {"keys": [key]},
        }


def _built() -> None:
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < (FOLDER / "go.sum").stat().st_mtime:
        CACHE.mkdir(parents=True, exist_ok=True)
        words = ["go", "build", "-p", "1", "-tags", "sqlite", "-o", str(PROGRAM), MODULE]
        prepare(words, folder=FOLDER, within=BUILT_WITHIN, what="Hydra by Go")


def _version() -> str:
    lines = (FOLDER / "go.mod").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.strip().startswith(MODULE)).removeprefix("v")


SUBJECT: Final = Subject(name="hydra", start=start, toml=TOML, several="granted")
