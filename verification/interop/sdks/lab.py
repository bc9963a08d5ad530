"""What the SDKs are tried against: two replicas with token endpoints, by TLS, before a practice issuer with faults."""

import asyncio
import hashlib
import json
import secrets
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interop.sdks import toolchains
from interop.sdks.asking import running
from interop.sdks.subjects import Sdk

from mintonce import AsyncTokenClient
from mintonce.credentials import ApiKeyFile, Tls
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.auth.api_keys import new_api_key
from mintonce_server.core.secret import Secret
from support.faulty_issuer import Fault, FaultyIssuer
from support.nodes import free_ports
from support.replicas import Replica, replica
from support.tls import Authority

REPLICAS: Final = 2
LIFETIME: Final = 40.0
"""Seconds that a token lives."""
BRIEF: Final = 20.0
"""Those of client `brief`."""
MOMENT: Final = 3.0
"""Those of client `cold`."""
CLIENTS: Final = ("together", "short", "rotated", "denied", "outage", "hang", "cold", "brief")
"""One for each thing that is tried, with an audience and an account of its own: what one account learns of its issuer's
trouble does not hold for others. The policy does not give `denied` to anybody."""
OPERATOR: Final = "operator"
CALL_WITHIN: Final = 20.0
SETTINGS: Final = """
listen = "127.0.0.1:0"
api_keys_file = "keys.toml"
policy_file = "policy.toml"
audit_interval = "1s"
redis.url = "{redis}"
redis.timeout = "5s"
tls.certificate_file = "server.pem"
tls.key_file = "server.key"

[issuers.practice]
token_url = "{issuer}"
request = "json"
"""
CLIENT: Final = """
[clients.{name}]
issuer = "practice"
client_id = "{name}-at-issuer"
client_secret_files = ["secret"]
default_audience = "{audience}"
"""
POLICY: Final = """
[[rules]]
name = "sdks"
callers = ["key:*"]
clients = [{clients}]
audiences = ["https://*.example.com/"]
scopes = ["", "read:orders"]
may = ["get", "admin"]
"""


def audience(client: str) -> str:
    """The one that is asked for with this client."""
    return f"https://{client}.example.com/"


@dataclass(frozen=True)
class Lab:
    """A running fleet. `keys`: by caller."""

    folder: Path
    authority: Authority
    issuer: FaultyIssuer
    servers: Sequence[Replica]
    keys: dict[str, Secret]

    def door(self, at: int) -> str:
        """The token endpoint of a replica."""
        return f"{self.servers[at].events('serving')[0]['token_endpoint']}/oauth/token"

    def running(self, sdks: Sequence[Sdk], client: str, own_audience: bool = False) -> Any:
        """Programs that ask for this client's token; every second one asks the second replica.

        `own_audience`: each for an audience of its own, for which nobody has a token yet.
        """
        environ: dict[Sdk, dict[str, str]] = {}
        for number, sdk in enumerate(sdks):
            ca = str(self.authority.ca)
            environ[sdk] = {
                "SDK_TOKEN_URL": self.door(number % REPLICAS),
                "SDK_CLIENT_ID": client,
                "SDK_CLIENT_SECRET": self.keys[sdk.caller].reveal(),
                "SDK_AUDIENCE": audience(f"{client}-{number}") if own_audience else audience(client),
                "SDK_CA_FILE": ca,
                "NODE_EXTRA_CA_CERTS": ca,
                "REQUESTS_CA_BUNDLE": ca,
                "SSL_CERT_FILE": ca,
            }
        return running(sdks, environ, self.folder)

    def posts(self, client: str, scope: str = "") -> list[float]:
        """When the issuer got POSTs for this client's audience with exactly this scope, in seconds since 1970."""
        wanted = (audience(client), scope)
        return [post.time for post in self.issuer.log() if (post.audience, post.scope) == wanted]

    def requests(self, sdk: Sdk, client: str) -> list[dict[str, Any]]:
        """What the audit logs say of this SDK's requests for this client."""
        found: list[dict[str, Any]] = []
        for number in range(REPLICAS):
            lines = map(json.loads, (self.folder / f"audit-{number}.jsonl").read_text().splitlines())
            found += [
                line
                for line in lines
                if line.get("caller") == f"key:{sdk.caller}"
                and line["kind"] in ("call", "repeat")
                and line.get("client", client) == client
            ]
        return found

    def set_fault(self, client: str, **fault: Any) -> None:
        """What goes wrong from now on with this client's audiences; nothing, if nothing is said."""
        pattern = f"https://{client}*.example.com/"
        self.issuer._change_fault(pattern, Fault(audience=pattern, **fault))

    async def current(self, client: str, scopes: Iterable[str] = ()) -> str:
        """The beginning of the SHA-256 of the token that a caller by gRPC gets now."""
        tls = Tls(ca_file=self.authority.ca)
        key = ApiKeyFile(self.folder / "operator.key")
        async with AsyncTokenClient(self.servers[0].target, tls=tls, bearer=key, timeout=CALL_WITHIN) as caller:
            token = await caller.get(client, audience(client), list(scopes))
        return hashlib.sha256(token.access_token.encode()).hexdigest()[:16]

    async def rotate(self, client: str, scopes: Iterable[str] = ()) -> None:
        """By the command that an operator uses."""
        words = ["-m", "mintonce", "rotate", client, audience(client), "--target", self.servers[0].target]
        words += ["--ca-file", str(self.authority.ca), "--api-key-file", str(self.folder / "operator.key")]
        words += [word for scope in scopes for word in ("--scope", scope)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(CALL_WITHIN):
            output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"mintonce rotate: {output.decode()}")


@asynccontextmanager
async def set_up(sdks: Sequence[Sdk]) -> AsyncGenerator[Lab]:
    """Everything runs, in a folder of its own, until the end of the block."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interop-")))
        authority, secret = Authority(folder), Secret(secrets.token_urlsafe(24))
        authority.server_files()[1].chmod(0o600)
        if any(sdk.toolchain == "java" for sdk in sdks):
            toolchains.trust_store(authority.ca, folder)
        accounts = {f"{name}-at-issuer": secret for name in CLIENTS}
        lifetimes = {audience("brief"): BRIEF, audience("cold*"): MOMENT}
        issuer = FaultyIssuer(accounts, lifetime=LIFETIME, lifetimes=lifetimes)
        stack.enter_context(issuer)
        valkey = await stack.enter_async_context(EmbeddedValkey(folder / "valkey", persist=False))
        keys = _write(folder, sdks, secret, SETTINGS.format(redis=valkey.url, issuer=issuer.token_url))
        servers = [
            await stack.enter_async_context(replica(folder, _of_one(number, port, folder)))
            for number, port in enumerate(free_ports(REPLICAS))
        ]
        yield Lab(folder, authority, issuer, servers, keys)


def _of_one(number: int, port: int, folder: Path) -> dict[str, str]:
    """Settings that differ between replicas. The port is in `public_url`, so that it cannot be any."""
    return {
        "CONFIG": str(folder / "mintonce.toml"),
        "AUDIT_FILE": f"audit-{number}.jsonl",
        "TOKEN_ENDPOINT__LISTEN": f"127.0.0.1:{port}",
        "TOKEN_ENDPOINT__PUBLIC_URL": f"https://127.0.0.1:{port}",
    }


def _write(folder: Path, sdks: Sequence[Sdk], secret: Secret, settings: str) -> dict[str, Secret]:
    """The files of the fleet. The API keys by caller."""
    made = {name: new_api_key(name) for name in (*(sdk.caller for sdk in sdks), OPERATOR)}
    given = ", ".join(f'"{name}"' for name in CLIENTS if name != "denied")
    texts = {
        "secret": secret.reveal(),
        "operator.key": made[OPERATOR][0].reveal(),
        "keys.toml": "[keys]\n" + "\n".join(line for _, line in made.values()) + "\n",
        "policy.toml": POLICY.format(clients=given),
        "mintonce.toml": settings + "".join(CLIENT.format(name=name, audience=audience(name)) for name in CLIENTS),
    }
    for name, text in texts.items():
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(text)
    return {name: key for name, (key, _) in made.items()}
