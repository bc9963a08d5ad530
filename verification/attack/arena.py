"""Where attacks happen: a guarded server as a real process, its store, its issuer, and two callers with keys."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import grpc
from grpc import aio

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.auth.api_keys import new_api_key
from mintonce_server.store.keyring import new_keyring
from support import measured_server
from support.certificates import Authority
from support.replicas import Replica, replica
from support.servers import looking_into
from support.surroundings import issuer_with_log, smallest_settings

VICTIM_AUDIENCE = "https://victim.example.com/"
POLICY = f"""
[[rules]]
name = "attacker"
callers = ["key:attacker"]
clients = ["default"]
audiences = ["*"]
scopes = ["*"]
may = ["get", "watch", "reject"]

[[rules]]
name = "victim"
callers = ["key:victim"]
clients = ["default"]
audiences = ["{VICTIM_AUDIENCE}"]
"""


@dataclass(frozen=True)
class Arena:
    """`attacker` and `victim` are API keys; both callers are allowed in, the one to much, the other to one token."""

    directory: Path
    valkey: EmbeddedValkey
    issuer: PracticeIssuer
    server: Replica
    attacker: str
    victim: str
    credentials: grpc.ChannelCredentials | None = None
    """Of gRPC; None: in clear."""

    @property
    def target(self) -> str:
        return self.server.target

    @property
    def probed(self) -> str:
        """Where it answers probes."""
        return str(self.server.events("serving")[0]["health_listen"])

    @property
    def door_url(self) -> str:
        """Of the token endpoint."""
        return str(self.server.events("serving")[0]["token_endpoint"])

    @property
    def door(self) -> tuple[str, int]:
        """Its host and port."""
        where = urlsplit(self.door_url)
        assert where.hostname
        assert where.port
        return where.hostname, where.port

    def channel(self, options: Sequence[tuple[str, object]] = ()) -> aio.Channel:
        """Of gRPC, one of its own."""
        if self.credentials is None:
            return aio.insecure_channel(self.target, options=options)
        return aio.secure_channel(self.target, self.credentials, options=options)

    @property
    def audit(self) -> Path:
        return self.directory / "audit.jsonl"

    def resident(self) -> int:
        """Bytes of memory that the server has (proc(5))."""
        return self._status("VmRSS") * 1024

    def descriptors(self) -> int:
        """Files and sockets that the server has open."""
        return len(list(Path(f"/proc/{self.server.process.pid}/fd").iterdir()))

    async def keys(self) -> int:
        """How many Redis has."""
        async with looking_into(self.valkey.url) as command:
            return cast(int, await command("DBSIZE"))

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.server.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
        assert found, f"no {name} in /proc"
        return int(found[1])


@asynccontextmanager
async def arena(directory: Path, is_secured: bool = False, **settings: str) -> AsyncGenerator[Arena]:
    """Runs until the end of the block. `settings`: variables without their prefix, beside those that guard."""
    attacker, victim = new_api_key("attacker"), new_api_key("victim")
    files = {
        "api-keys.toml": f"[keys]\n{attacker[1]}\n{victim[1]}\n",
        "policy.toml": POLICY,
        "sealing.toml": new_keyring(),
    }
    for name, text in files.items():
        _private(directory / name, text)
    async with EmbeddedValkey(directory / "valkey", persist=False) as valkey:
        with issuer_with_log(directory / "posts.jsonl", lifetime=3600.0) as issuer:
            full = {**smallest_settings(issuer, valkey.url), **_guards(directory), **settings}
            credentials = _tls(directory, full) if is_secured else None
            async with replica(directory, full, [measured_server.PROGRAM, "0"]) as server:
                yield Arena(directory, valkey, issuer, server, attacker[0].reveal(), victim[0].reveal(), credentials)


def _tls(directory: Path, settings: dict[str, str]) -> grpc.ChannelCredentials:
    """For callers. The settings get the server's side."""
    authority = Authority(directory)
    issued = authority.server()
    settings |= {"TLS__CERTIFICATE_FILE": str(issued.certificate), "TLS__KEY_FILE": str(issued.key)}
    return grpc.ssl_channel_credentials(authority.ca.read_bytes())


def _guards(directory: Path) -> Mapping[str, str]:
    return {
        "API_KEYS_FILE": str(directory / "api-keys.toml"),
        "POLICY_FILE": str(directory / "policy.toml"),
        "SEALING_KEYS_FILE": str(directory / "sealing.toml"),
        "AUDIT_FILE": str(directory / "audit.jsonl"),
        "HEALTH_LISTEN": "127.0.0.1:0",
        "TOKEN_ENDPOINT__LISTEN": "127.0.0.1:0",
        "LOG_LEVEL": "debug",
        "REFLECTION": "true",
    }


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
