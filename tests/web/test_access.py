"""Who sees what at the HTTP port of a real replica."""

import asyncio
import base64
import json
import os
import resource
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from mintonce.v1 import tokens_pb2, tokens_pb2_grpc, types_pb2
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.auth.api_keys import new_api_key
from mintonce_server.web.handshakes import MOST
from support.certificates import Authority, Issued
from support.gatehouse import api_key_line
from support.replicas import Replica, replica
from support.sockets import bare_connection, is_open
from support.surroundings import issuer_with_log, smallest_settings
from support.waiting import wait_until

POLICY = """
[[rules]]
name = "operators"
callers = ["key:operator", "spiffe://prod.example.com/ns/ops/sa/operator"]
clients = ["*"]
audiences = ["*"]
may = ["admin"]

[[rules]]
name = "operators-of-one"
callers = ["key:clerk"]
clients = ["default"]
audiences = ["*"]
may = ["admin"]

[[rules]]
name = "all"
callers = ["*"]
clients = ["default"]
audiences = ["*"]
"""

PROGRAM = Path(sys.executable).with_name("mintonce")
ODD_WISH = "application/openmetrics-text; version=x"


class Door:
    """A replica whose HTTP port asks who calls, and those who knock."""

    def __init__(self, server: Replica, authority: Authority, keys: Mapping[str, str]) -> None:
        self.server = server
        self.authority = authority
        self.url = str(server.events("serving")[0]["http"])
        self.keys = keys

    async def status(self, path: str, shown: Issued | None = None, authorization: str = "") -> int:
        return await asyncio.to_thread(self._status, path, shown, authorization)

    def _status(self, path: str, shown: Issued | None, authorization: str) -> int:
        context = ssl.create_default_context(cafile=self.authority.ca)
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        url = self.url.replace("0.0.0.0", "127.0.0.1") + path
        request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})
        try:
            with urllib.request.urlopen(request, context=context, timeout=10.0) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)

    def basic(self, name: str) -> str:
        return "Basic " + base64.b64encode(f"anybody:{self.keys[name]}".encode()).decode()


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Beyond loopback, with TLS, certificates and API keys."""
    authority = Authority(tmp_path)
    server = authority.server()
    keys = {name: new_api_key(name)[0].reveal() for name in ("operator", "clerk", "billing")}
    for name, text in (
        ("policy.toml", POLICY),
        ("keys.toml", "[keys]\n" + "\n".join(api_key_line(name, key) for name, key in keys.items())),
    ):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
            settings = smallest_settings(issuer, valkey.url) | {
                "HTTP__LISTEN": "0.0.0.0:0",
                "CLIENTS__SECOND__ISSUER": "default",
                "CLIENTS__SECOND__CLIENT_ID": "second",
                "CLIENTS__SECOND__CLIENT_SECRET": "of-the-second",
                "CLIENTS__SECOND__AUDIENCES": "*",
                "TLS__CERTIFICATE_FILE": str(server.certificate),
                "TLS__KEY_FILE": str(server.key),
                "TLS__CLIENT_CA_FILE": str(authority.ca),
                "TLS__TRUST_DOMAINS": "prod.example.com",
                "POLICY_FILE": str(tmp_path / "policy.toml"),
                "API_KEYS_FILE": str(tmp_path / "keys.toml"),
            }
            async with replica(tmp_path, settings) as running:
                yield Door(running, authority, keys)


@pytest.mark.slow
async def test_beyond_loopback_metrics_are_for_administrators(door: Door) -> None:
    """By certificate, by API key as a bearer or as a password; and for nobody else."""
    assert await door.status("/metrics") == 401
    operator = door.authority.caller("spiffe://prod.example.com/ns/ops/sa/operator", "operator")
    other = door.authority.caller("spiffe://prod.example.com/ns/shop/sa/cart", "cart")
    assert await door.status("/metrics", operator) == 200
    assert await door.status("/metrics", other) == 403
    assert await door.status("/metrics", authorization=f"Bearer {door.keys['operator']}") == 200
    assert await door.status("/metrics", authorization=door.basic("operator")) == 200
    assert await door.status("/metrics", authorization=door.basic("billing")) == 403
    assert await door.status("/metrics", operator, authorization=door.basic("billing")) == 403
    assert await door.status("/metrics", authorization=door.basic("clerk")) == 403  # they are about all clients
    assert await door.status("/status", authorization=door.basic("clerk")) == 200
    for garbage in ("Basic !!!", "Basic " + base64.b64encode(b"\xff").decode(), "Bearer x", "Digest x"):
        assert await door.status("/metrics", operator, authorization=garbage) == 401


@pytest.mark.slow
async def test_bare_connects_use_up_no_descriptors(door: Door) -> None:
    """Five hundred of them at a server that may have 450: callers of gRPC are answered, and so is the page."""
    caller = door.authority.caller("spiffe://prod.example.com/ns/shop/sa/cart", "cart")
    resource.prlimit(door.server.process.pid, resource.RLIMIT_NOFILE, (450, 450))
    port = int(door.url.rpartition(":")[2])
    flood = [bare_connection(port) for _ in range(500)]
    await wait_until(lambda: sum(map(is_open, flood)) <= MOST, timeout=2.0)  # a handshake may take five seconds
    credentials = grpc.ssl_channel_credentials(
        door.authority.ca.read_bytes(), caller.key.read_bytes(), caller.certificate.read_bytes()
    )
    async with grpc.aio.secure_channel(door.server.target.replace("0.0.0.0", "127.0.0.1"), credentials) as channel:
        tokens: Any = tokens_pb2_grpc.TokenServiceStub(channel)
        wanted = types_pb2.TokenKey(client="default", audience="https://api.example.com/")
        answer = await tokens.GetToken(tokens_pb2.GetTokenRequest(key=wanted), timeout=10.0)
    assert answer.token.generation
    assert await door.status("/status", authorization=door.basic("clerk")) == 200
    for connection in flood:
        connection.close()


async def mintonce(*args: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of the client's program."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=30, check=False, env=environ)

    done = await asyncio.to_thread(run)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
async def test_the_client_shows_the_status_over_tls(door: Door, tmp_path: Path) -> None:
    """With an API key or with a certificate; the server is who its certificate says."""
    key = tmp_path / "clerk.key"
    key.touch(mode=0o600)
    key.write_text(door.keys["clerk"])
    operator = door.authority.caller("spiffe://prod.example.com/ns/ops/sa/operator", "operator")
    at = ("--http", door.url.replace("0.0.0.0", "127.0.0.1"))
    trusting = ("--ca-file", str(door.authority.ca))
    by_certificate = ("--certificate-file", str(operator.certificate), "--key-file", str(operator.key))
    code, out, err = await mintonce("status", *at, *trusting, "--api-key-file", str(key))
    assert (code, err, out.splitlines()[0]) == (0, "", "All is well.")
    code, out, err = await mintonce("status", *at, *trusting, *by_certificate)
    assert (code, err) == (1, "")
    assert "The certificate ends in 23 h" in out  # which is for those who may see all clients
    code, out, _ = await mintonce("top", "--count", "1", *at, *trusting, "--api-key-file", str(key))
    assert (code, json.loads(out)["v"]) == (0, 1)
    code, _, err = await mintonce("status", *at, *trusting)
    assert (code, "answered 401" in err) == (1, True)
    code, _, err = await mintonce("status", *at, "--api-key-file", str(key))
    assert (code, "TLS handshake failed" in err) == (3, True)
    code, _, err = await mintonce("status", *at, *trusting, "--server-name", "other.example.com")
    assert (code, "TLS handshake failed" in err) == (3, True)


async def test_the_client_shows_the_status_over_a_unix_socket(tmp_path: Path) -> None:
    """The mode of the socket is the guard."""
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
            listen = f"unix:{tmp_path / 'http.sock'}"
            async with replica(tmp_path, {**smallest_settings(issuer, valkey.url), "HTTP__LISTEN": listen}) as running:
                assert running.events("serving")[0]["http"] == listen
                code, out, err = await mintonce("status", "--http", listen)
                assert (code, err) == (0, "")
                assert out.startswith("All is well.\n")
                code, out, _ = await mintonce("top", "--count", "1", "--http", listen)
                assert (code, json.loads(out)["v"]) == (0, 1)
            code, _, err = await mintonce("status", "--http", listen)
            assert (code, "cannot reach the status page at unix:" in err) == (3, True)


@pytest.mark.slow
async def test_a_foreign_certificate_gets_no_connection(door: Door, tmp_path: Path) -> None:
    """TLS refuses it."""
    foreign = Authority(tmp_path, "foreign").caller("spiffe://prod.example.com/ns/ops/sa/operator", "foreign")
    with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
        await door.status("/metrics", foreign)


async def test_on_loopback_metrics_are_for_everyone(tmp_path: Path) -> None:
    """They hold names and numbers, and the page of a guarded server stays closed."""
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
            settings = {**smallest_settings(issuer, valkey.url), "HTTP__LISTEN": "127.0.0.1:0"}
            async with replica(tmp_path, settings) as running:
                url = str(running.events("serving")[0]["http"])
                with await asyncio.to_thread(urllib.request.urlopen, f"{url}/metrics", timeout=10.0) as answer:
                    assert b"mintonce_build_info" in answer.read()
                odd = urllib.request.Request(f"{url}/metrics", headers={"Accept": ODD_WISH})
                with await asyncio.to_thread(urllib.request.urlopen, odd, timeout=10.0) as answer:
                    assert answer.headers["Content-Type"].startswith("text/plain")
    assert not [line for line in running.lines if line["level"] == "error"], json.dumps(running.lines)
