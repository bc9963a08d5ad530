"""glewlwyd, the OAuth server that Debian carries: its packages unpacked into a folder, without being installed."""

import gzip
import hashlib
import http.cookiejar
import json
import os
import sqlite3
import urllib.request
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

from interop.issuers.processes import CACHE, answers, found, prepare, program
from interop.issuers.subject import (
    ALGORITHMS,
    AUDIENCE,
    CLIENT_ID,
    SCOPE,
    SECOND_AUDIENCE,
    NotHere,
    Running,
    Subject,
    Workbench,
    secret_client,
    secret_clients,
    signing_clients,
    thumbprint,
)

from support.nodes import free_ports
from support.signing import jwk, private_key

PINS: Final = Path(__file__).with_name("glewlwyd.txt")
HOME: Final = CACHE / "glewlwyd"
SHARE: Final = HOME / "usr" / "share" / "doc" / "glewlwyd"
MODULES: Final = ("user", "user_middleware", "client", "scheme", "plugin")
_SCOPED: Final = f'default_scopes = ["{SCOPE}"]\n'
"""It refuses a request without a scope."""

TOML: Final = f"""
[issuers.post]
provider = "glewlwyd"
issuer = "$url/api/oidc"
auth = "client_secret_post"

[issuers.basic]
provider = "glewlwyd"
issuer = "$url/api/oidc"

[issuers.several]
provider = "glewlwyd"
issuer = "$url/api/oidc"
several_audiences = "repeat"

[issuers.signed]
provider = "glewlwyd"
issuer = "$url/api/oidc"
auth = "private_key_jwt"

{secret_clients(_SCOPED)}
{secret_client("several")}{_SCOPED}
{signing_clients(key_id="thumbprint", extra=_SCOPED)}
"""


@asynccontextmanager
async def start(bench: Workbench) -> AsyncGenerator[Running]:
    """With a database of its own. Raises NotHere where the packages cannot be had."""
    _unpacked()
    (port,) = free_ports(1)
    database = bench.folder / "glewlwyd.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(gzip.decompress((SHARE / "database" / "init.sqlite3.sql.gz").read_bytes()).decode())
    settings = bench.write("glewlwyd.conf", _settings(port, bench.url, database))
    words = [str(HOME / "usr" / "bin" / "glewlwyd"), f"--config-file={settings}"]
    log = bench.folder / "glewlwyd.log"
    async with program(words, log, answers(port, "/config"), environ=_environ()):
        _Administrator(port).register(bench)
        yield Running(_pins()["glewlwyd"][0].partition("-")[0], port)


class _Administrator:
    """Sets it up by its own API, with the name and password that it comes with."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api"
        self._http = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def register(self, bench: Workbench) -> None:
        """The scope, the plugin that is the OAuth server, and the clients."""
        self._post("/auth/", {"username": "admin", "password": "password"})
        self._post("/scope/", {"name": SCOPE, "display_name": SCOPE, "password_required": False})
        plugin = {"module": "oidc", "name": "oidc", "display_name": "OIDC", "enabled": True}
        self._post("/mod/plugin/", plugin | {"parameters": _parameters(bench.url)})
        for client in _clients(bench):
            self._post("/client/", client)

    def _post(self, path: str, fields: Mapping[str, object]) -> None:
        request = urllib.request.Request(
            self._api + path, json.dumps(fields).encode(), {"Content-Type": "application/json"}
        )
        with self._http.open(request, timeout=10.0):
            pass  # it has no content


def _parameters(url: str) -> dict[str, object]:
    key = {**jwk(private_key("RS256"), private=True), "kid": "signing", "alg": "RS256", "use": "sig"}
    ways = ("code", "token", "none", "password", "refresh")
    return {
        # Its metadata is below this path, so that it is found from the issuer's identifier.
        "iss": f"{url}/api/oidc",
        "jwks-private": json.dumps({"keys": [key]}),
        "default-kid": "signing",
        "jwt-type": "rsa",
        "jwt-key-size": "256",
        "access-token-duration": 1200,
        "refresh-token-duration": 1200,
        "code-duration": 600,
        "allow-non-oidc": True,
        "auth-type-client-enabled": True,
        **{f"auth-type-{way}-enabled": False for way in ways},
        "request-parameter-allow": True,
        "client-jwks-parameter": "jwks",
        "client-pubkey-parameter": "pubkey",
        "resource-allowed": True,
        "resource-scope": {SCOPE: [AUDIENCE, SECOND_AUDIENCE]},
    }


def _clients(bench: Workbench) -> Iterator[dict[str, object]]:
    usual: dict[str, object] = {
        "name": "Mintonce",
        "confidential": True,
        "enabled": True,
        "source": "database",
        "scope": [SCOPE],
        "authorization_type": ["client_credentials"],
        "redirect_uri": ["http://127.0.0.1/"],
    }
    secrets = (
        (CLIENT_ID, bench.plain, "client_secret_post"),
        (f"{CLIENT_ID}-basic", bench.plain, "client_secret_basic"),
        (f"{CLIENT_ID}-odd", bench.odd, "client_secret_basic"),
    )
    for client_id, secret, by in secrets:
        yield usual | {"client_id": client_id, "client_secret": secret, "token_endpoint_auth_method": [by]}
    for name in ALGORITHMS:
        # It looks keys up by `kid` only.
        keys = {"keys": [{**jwk(bench.keys[name]), "alg": name, "use": "sig", "kid": thumbprint(bench.keys[name])}]}
        method: dict[str, object] = {
            "token_endpoint_auth_method": ["private_key_jwt"],
            "token_endpoint_signing_alg": name,
        }
        yield usual | {"client_id": f"{CLIENT_ID}-{name}", "jwks": keys} | method


def _settings(port: int, url: str, database: Path) -> str:
    """Its own sample, with our places and addresses."""
    sample = gzip.decompress((SHARE / "glewlwyd.conf.sample.gz").read_bytes()).decode()
    for was, shall_be in {
        "/usr/": f"{HOME}/usr/",
        "port=4593": f"port={port}",
        "http://localhost:4593": url,
        '"localhost"': '"127.0.0.1"',
        "cookie_secure=1": "cookie_secure=0",
        "/var/cache/glewlwyd/glewlwyd.db": str(database),
        "#bind_address=": "bind_address=",
    }.items():
        sample = sample.replace(was, shall_be)
    return sample


def _unpacked() -> None:
    stamp = HOME / ".unpacked"
    if stamp.exists() and stamp.stat().st_mtime > PINS.stat().st_mtime:
        return
    found("apt-get")
    HOME.mkdir(parents=True, exist_ok=True)
    for name, (version, digest) in _pins().items():
        prepare(["apt-get", "download", "-q", f"{name}={version}"], folder=HOME, what="Debian's packages")
        (package,) = HOME.glob("*.deb")
        if hashlib.sha256(package.read_bytes()).hexdigest() != digest:
            raise NotHere(f"{name} {version} is not the pinned one")
        prepare(["dpkg", "-x", package.name, "."], folder=HOME, what="Debian's packages")
        package.unlink()
    for name in MODULES:
        (HOME / "usr" / "lib" / "glewlwyd" / name).mkdir(exist_ok=True)
    prepare(
        ["env", *(f"{name}={text}" for name, text in _environ().items()), "usr/bin/glewlwyd", "--version"],
        folder=HOME,
        what="glewlwyd",
    )
    stamp.touch()


def _environ() -> Mapping[str, str]:
    return {"LD_LIBRARY_PATH": os.pathsep.join(map(str, (HOME / "usr" / "lib").glob("*-linux-gnu")))}


def _pins() -> dict[str, tuple[str, str]]:
    """Version and digest by the package's name."""
    lines = (line.split() for line in PINS.read_text().splitlines() if not line.startswith("#"))
    return {name: (version, digest) for name, version, digest in lines}


SUBJECT: Final = Subject(
    name="glewlwyd",
    start=start,
    toml=TOML,
    metadata=("/api/oidc/.well-known/openid-configuration",),
    not_tried={"tls_client_auth": "it has one port, with TLS or without"},
)
