"""Programs without our clients: the gRPC libraries of each language with the generated stubs alone, and grpcurl."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from conformance.harness.languages import FOLDERS, built
from conformance.harness.testee import ROOT
from mintonce import AsyncTokenClient, Tls
from mintonce_dev.valkey import EmbeddedValkey
from support.certificates import Authority, Issued
from support.replicas import replica
from support.surroundings import issuer_with_log, posts, smallest_settings

AUDIENCE: Final = "https://api.example.com/"
CALLER: Final = "spiffe://example.com/stranger"
POLICY: Final = f"""
[[rules]]
name = "strangers"
callers = ["{CALLER}"]
clients = ["default", "nobody"]
audiences = ["*"]
may = ["get", "watch", "reject"]
"""
WITHIN: Final = 120.0
"""Seconds: `go tool` builds grpcurl when it first runs."""
GRPCURL: Final = ROOT / "conformance" / "grpcurl"


@dataclass(frozen=True)
class Guarded:
    """A server that asks for a certificate, the caller's, and what the issuer wrote down."""

    target: str
    ca: Path
    caller: Issued
    log: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "TARGET": self.target,
            "CA_FILE": str(self.ca),
            "CERTIFICATE_FILE": str(self.caller.certificate),
            "KEY_FILE": str(self.caller.key),
            "CLIENT": "default",
            "AUDIENCE": AUDIENCE,
        }

    async def digest(self) -> str:
        """Of the token that our own client gets."""
        tls = Tls(ca_file=self.ca, certificate_file=self.caller.certificate, key_file=self.caller.key)
        async with AsyncTokenClient(self.target, tls=tls) as client:
            return sha256((await client.get("default", AUDIENCE)).access_token.encode()).hexdigest()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncGenerator[Guarded]:
    """With mutual TLS, a policy and reflection."""
    authority = Authority(tmp_path)
    shown, policy, log = authority.server(), tmp_path / "policy.toml", tmp_path / "posts.jsonl"
    policy.write_text(POLICY)
    policy.chmod(0o600)
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(EmbeddedValkey(tmp_path / "valkey"))
        issuer = stack.enter_context(issuer_with_log(log, lifetime=3600.0))
        settings = smallest_settings(issuer, valkey.url) | {
            "TLS__CERTIFICATE_FILE": str(shown.certificate),
            "TLS__KEY_FILE": str(shown.key),
            "TLS__CLIENT_CA_FILE": str(authority.ca),
            "TLS__TRUST_DOMAINS": "example.com",
            "POLICY_FILE": str(policy),
            "REFLECTION": "true",
        }
        server = await stack.enter_async_context(replica(tmp_path, settings))
        yield Guarded(server.target, authority.ca, authority.caller(CALLER), log)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", FOLDERS)
async def test_a_program_with_the_stubs_alone(name: str, guarded: Guarded) -> None:
    """It gets a token, watches it, reads why it is refused, rejects it, and gets the next one."""
    program = built(name, "stranger")
    if not program.is_here:
        pytest.skip(program.why_not)
    said = json.loads(await output(program.command, guarded.environment))
    assert said["watched"] == said["token"]
    assert said["refused"] == "UNKNOWN_CLIENT"
    assert said["rejected"] is True
    assert said["successor"] == await guarded.digest() != said["token"]
    assert len(posts(guarded.log)) == 2


@pytest.mark.timeout(180)
async def test_grpcurl(guarded: Guarded) -> None:
    """By reflection, with the JSON form of the messages."""
    if shutil.which("go") is None:
        pytest.skip("go is not on PATH")
    grpcurl = ("go", "-C", str(GRPCURL), "tool", "grpcurl")
    shown = (
        *("-cacert", str(guarded.ca), "-cert", str(guarded.caller.certificate), "-key", str(guarded.caller.key)),
        *("-max-time", "20"),
    )
    services = await output((*grpcurl, *shown, guarded.target, "list"), {})
    assert "mintonce.v1.TokenService" in services.splitlines()
    key = {"key": {"client": "default", "audience": AUDIENCE}}
    got = json.loads(
        await output((*grpcurl, *shown, "-d", json.dumps(key), guarded.target, "mintonce.v1.TokenService/GetToken"), {})
    )
    digest = sha256(got["token"]["access_token"].encode()).hexdigest()
    assert digest == await guarded.digest()
    assert len(posts(guarded.log)) == 1


async def output(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """What it prints."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN):
            printed, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complained.decode()[-2000:]
    return printed.decode()
