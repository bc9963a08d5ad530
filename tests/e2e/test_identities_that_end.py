"""What a caller's proof is held against is taken away: its watch ends in time, and nothing more is handed out to it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce import AsyncTokenClient, MintonceError, Token
from mintonce.credentials import ApiKeyFile, BearerFile, Tls
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.auth.api_keys import new_api_key
from support.certificates import Authority
from support.jwts import AUDIENCE as AUDIENCE_OF_JWTS
from support.jwts import ISSUER, Signer, claims
from support.replicas import Replica, replica
from support.surroundings import issuer_with_log, smallest_settings

POLICY = """
[[rules]]
name = "all"
callers = ["*"]
clients = ["default"]
audiences = ["*"]
may = ["get", "watch", "admin"]
"""
AUDIENCE = "https://api.example.com/orders"
RELOAD_INTERVAL = 1.0
SPIFFE_ID = "spiffe://prod.example.com/ns/pay/sa/"


@dataclass
class Fleet:
    """One replica, two authorities of callers, keys of callers in files, and callers of each kind."""

    server: Replica
    directory: Path
    authority: Authority
    other: Authority
    signers: tuple[Signer, Signer]
    api_keys: dict[str, tuple[str, str]]
    bearer_target: str

    def trust(self, *authorities: Authority) -> None:
        replace(self.directory / "trusted.pem", b"".join(each.ca.read_bytes() for each in authorities))

    def know(self, *signers: Signer) -> None:
        replace(self.directory / "jwks.json", signers[0].jwks(*signers[1:]))

    def keep(self, *names: str) -> None:
        lines = "\n".join(self.api_keys[name][1] for name in names)
        replace(self.directory / "keys.toml", f"[keys]\n{lines}\n".encode())

    def certified(self, authority: Authority, name: str) -> AsyncTokenClient:
        issued = authority.caller(f"{SPIFFE_ID}{name}", name)
        tls = Tls(ca_file=self.authority.ca, certificate_file=issued.certificate, key_file=issued.key)
        return AsyncTokenClient(self.server.target, tls=tls, timeout=5.0)

    def with_jwt(self, signer: Signer) -> AsyncTokenClient:
        path = replace(self.directory / f"{signer.key.kid}.jwt", signer.token(claims(time.time())).encode())
        return AsyncTokenClient(self.bearer_target, tls=False, bearer=BearerFile(path), timeout=5.0)

    def with_key(self, name: str) -> AsyncTokenClient:
        path = replace(self.directory / f"{name}.key", self.api_keys[name][0].encode())
        return AsyncTokenClient(self.bearer_target, tls=False, bearer=ApiKeyFile(path), timeout=5.0)


def replace(path: Path, data: bytes) -> Path:
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_bytes(data)
    return beside.replace(path)


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    signers = Signer("one", "ES256"), Signer("two", "ES256")
    made = {name: new_api_key(name) for name in ("goes", "stays")}
    served, policy = authority.server(), replace(tmp_path / "policy.toml", POLICY.encode())
    async with EmbeddedValkey(tmp_path / "valkey") as valkey, AsyncExitStack() as parts:
        issuer = parts.enter_context(issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0))
        socket = f"unix:{tmp_path}/b"
        keys = {name: (key.reveal(), line) for name, (key, line) in made.items()}
        running = Fleet(None, tmp_path, authority, other, signers, keys, socket)  # type: ignore[arg-type] # set below
        running.trust(authority, other)
        running.know(*signers)
        running.keep(*made)
        settings = {
            **smallest_settings(issuer, valkey.url),
            "BEARER_LISTEN": socket,
            "TLS__CERTIFICATE_FILE": str(served.certificate),
            "TLS__KEY_FILE": str(served.key),
            "TLS__CLIENT_CA_FILE": str(tmp_path / "trusted.pem"),
            "TLS__TRUST_DOMAINS": "prod.example.com",
            "JWT_ISSUERS__CLUSTER__ISSUER": ISSUER,
            "JWT_ISSUERS__CLUSTER__AUDIENCES": AUDIENCE_OF_JWTS,
            "JWT_ISSUERS__CLUSTER__JWKS_FILE": str(tmp_path / "jwks.json"),
            "API_KEYS_FILE": str(tmp_path / "keys.toml"),
            "POLICY_FILE": str(policy),
            "AUDIT_FILE": str(tmp_path / "audit.jsonl"),
        }
        running.server = await parts.enter_async_context(replica(tmp_path, settings))
        yield running


Kind = tuple[
    Callable[[Fleet], AsyncTokenClient], Callable[[Fleet], AsyncTokenClient], Callable[[Fleet], None], str
]  # fmt: skip
KINDS: dict[str, Kind] = {
    "API key": (
        lambda fleet: fleet.with_key("goes"),
        lambda fleet: fleet.with_key("stays"),
        lambda fleet: fleet.keep("stays"),
        "key:goes",
    ),
    "signing key": (
        lambda fleet: fleet.with_jwt(fleet.signers[0]),
        lambda fleet: fleet.with_jwt(fleet.signers[1]),
        lambda fleet: fleet.know(fleet.signers[1]),
        "jwt:cluster:system:serviceaccount:pay:billing",
    ),
    "authority": (
        lambda fleet: fleet.certified(fleet.other, "goes"),
        lambda fleet: fleet.certified(fleet.authority, "stays"),
        lambda fleet: fleet.trust(fleet.authority),
        f"{SPIFFE_ID}goes",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_watch_ends_when_what_proves_its_caller_is_gone(fleet: Fleet, kind: str) -> None:
    """Within two seconds; the connection that is open gets nothing else either; others go on."""
    goes, stays, take_away, name = KINDS[kind]
    async with (
        goes(fleet) as client,
        stays(fleet) as other,
        client.watch("default", AUDIENCE) as watch,
        other.watch("default", AUDIENCE) as theirs,
    ):
        first, _ = await anext(watch), await anext(theirs)
        take_away(fleet)
        async with asyncio.timeout(RELOAD_INTERVAL + 1.0):
            reason = await reason_of(anext(watch))
        again = await reason_of(client.get("default", AUDIENCE))
        await other.rotate("default", AUDIENCE)
        async with asyncio.timeout(5.0):
            assert (await anext(theirs)).generation > first.generation

    assert (reason, again) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    # The server still writes: the last line may not be whole yet.
    whole, *_ = (fleet.directory / "audit.jsonl").read_text().rpartition("\n")
    audit = [json.loads(line) for line in whole.splitlines()]
    ends = [line["status"] for line in audit if line.get("caller") == name and line["act"] == "watch"]
    assert ends[0] == "OK"
    assert "UNAUTHENTICATED" in ends


async def reason_of(call: Awaitable[Token]) -> str:
    with pytest.raises(MintonceError) as caught:
        await call
    return str(caught.value.reason)
