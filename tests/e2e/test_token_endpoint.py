"""POST /oauth/token of real replicas, with TLS, API keys, a policy and an audit log, as an operator sets them up."""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from mintonce import AsyncTokenClient
from mintonce.credentials import ApiKeyFile, Tls
from mintonce_server.auth.api_keys import new_api_key
from support.certificates import Authority
from support.faulty_issuer import Fault, FaultyIssuer
from support.gatehouse import api_key_line
from support.leaks import LeakChecker
from support.replicas import PROGRAM, Replica, replica
from support.surroundings import CLIENT_SECRET, posts
from support.waiting import wait_until

AUDIENCE: Final = "https://api.example.com/"
POLICY: Final = f"""
[[rules]]
name = "billing"
callers = ["key:billing", "spiffe://prod.example.com/ns/pay/sa/billing"]
clients = ["default"]
audiences = ["{AUDIENCE}", "https://trouble.example.com/0", "https://trouble.example.com/1"]
may = ["get"]
"""


class Place:
    """Settings of a guarded fleet, and its callers."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        self.directory = directory
        self.authority = Authority(directory)
        self.keys = {name: new_api_key(name)[0].reveal() for name in ("billing", "cart")}
        server = self.authority.server()
        lines = [api_key_line(name, key) for name, key in self.keys.items()]
        self.audit = directory / "audit.jsonl"
        self.settings = settings | {
            "LISTEN": "127.0.0.1:0",
            "TOKEN_ENDPOINT__LISTEN": "127.0.0.1:0",
            "TLS__CERTIFICATE_FILE": str(server.certificate),
            "TLS__KEY_FILE": str(server.key),
            "API_KEYS_FILE": str(self._private("keys.toml", "\n".join(["[keys]", *lines]))),
            "POLICY_FILE": str(self._private("policy.toml", POLICY)),
            "AUDIT_FILE": str(self.audit),
            "LOG__LEVEL": "debug",
        }

    def door(self, server: Replica) -> httpx.AsyncClient:
        trusting = ssl.create_default_context(cafile=self.authority.ca)
        url = str(server.events("serving")[0]["token_endpoint"])
        return httpx.AsyncClient(base_url=url, verify=trusting, trust_env=False, timeout=10.0)

    def grpc(self, server: Replica) -> AsyncTokenClient:
        file = self._private("key", self.keys["billing"])
        return AsyncTokenClient(server.target, tls=Tls(ca_file=self.authority.ca), bearer=ApiKeyFile(file))

    def _private(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


@pytest.fixture
def place(tmp_path: Path, settings: dict[str, str]) -> Place:
    return Place(tmp_path, settings)


def wanted(key: str, **more: str) -> dict[str, str]:
    usual = {"grant_type": "client_credentials", "client_id": "default", "audience": AUDIENCE, "client_secret": key}
    return usual | more


@pytest.mark.slow
async def test_two_replicas_hand_out_one_token_by_http_and_grpc(place: Place) -> None:
    """A hundred callers at once of each: the issuer sees one POST. The audit log has all, and how each came."""
    async with (
        replica(place.directory, place.settings) as first,
        replica(place.directory, place.settings) as second,
        place.door(first) as door,
        place.door(second) as other_door,
        place.grpc(first) as grpc,
        place.grpc(second) as other_grpc,
    ):
        key = place.keys["billing"]
        by_http = [each.post("/oauth/token", data=wanted(key)) for each in (door, other_door) for _ in range(50)]
        by_grpc = [each.get("default", AUDIENCE) for each in (grpc, other_grpc) for _ in range(50)]
        answers, tokens = await asyncio.gather(asyncio.gather(*by_http), asyncio.gather(*by_grpc))
        assert {answer.status_code for answer in answers} == {200}
        texts = {answer.json()["access_token"] for answer in answers} | {token.access_token for token in tokens}
        assert len(texts) == 1
        assert len(posts(place.directory / "posts.jsonl")) == 1
        denied = await door.post("/oauth/token", data=wanted(place.keys["cart"]))
        assert (denied.status_code, denied.json()["error"]) == (400, "unauthorized_client")
    records = [json.loads(line) for line in place.audit.read_text().splitlines()]
    calls = [record for record in records if record.get("act") == "get"]
    assert {(record["via"], record["caller"], record["decision"]) for record in calls} == {
        ("http", "key:billing", "allow"),
        ("grpc", "key:billing", "allow"),
        ("http", "key:cart", "deny"),
    }


@pytest.mark.slow
async def test_a_client_certificate_proves_who_calls_at_the_door(place: Place) -> None:
    """It is asked for, and not required."""
    place.settings |= {
        "BEARER_LISTEN": "127.0.0.1:0",
        "TLS__CLIENT_CA_FILE": str(place.authority.ca),
        "TLS__TRUST_DOMAINS": "prod.example.com",
    }
    shown = place.authority.caller("spiffe://prod.example.com/ns/pay/sa/billing")
    trusting = ssl.create_default_context(cafile=place.authority.ca)
    trusting.load_cert_chain(shown.certificate, shown.key)
    async with replica(place.directory, place.settings) as server:
        url = str(server.events("serving")[0]["token_endpoint"])
        async with httpx.AsyncClient(base_url=url, verify=trusting, trust_env=False) as certified:
            assert (await certified.post("/oauth/token", data=wanted(""))).status_code == 200
            assert (await certified.post("/oauth/token", data=wanted("mok_billing_wrong"))).status_code == 401
        async with place.door(server) as door:
            assert (await door.post("/oauth/token", data=wanted(""))).status_code == 401
            assert (await door.post("/oauth/token", data=wanted(place.keys["billing"]))).status_code == 200


@pytest.mark.slow
async def test_a_program_of_the_same_machine_asks_at_a_unix_socket(place: Place) -> None:
    """In clear, with its key all the same. Only the server's user and group reach the socket, which ends with it."""
    path = place.directory / "token.sock"
    place.settings["TOKEN_ENDPOINT__LISTEN"] = f"unix:{path}"
    async with replica(place.directory, place.settings) as server:
        assert server.events("serving")[0]["token_endpoint"] == f"unix:{path}"
        assert path.stat().st_mode & 0o007 == 0
        socket = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(base_url="http://mintonce", transport=socket) as door, place.grpc(server) as grpc:
            answer = await door.post("/oauth/token", data=wanted(place.keys["billing"]))
            assert answer.status_code == 200, answer.text
            assert answer.json()["access_token"] == (await grpc.get("default", AUDIENCE)).access_token
            assert (await door.post("/oauth/token", data=wanted(""))).status_code == 401
    assert not path.exists()
    records = [json.loads(line) for line in place.audit.read_text().splitlines()]
    assert {record["peer"] for record in records if record.get("via") == "http"} == {"unix:"}


@pytest.mark.slow
async def test_a_replica_that_ends_answers_what_is_under_way(place: Place, issuer: FaultyIssuer) -> None:
    """With a token, and the word to connect elsewhere; then it ends by itself."""
    issuer.fault = Fault(latency=1.5)
    async with replica(place.directory, place.settings) as server, place.door(server) as door:
        asking = asyncio.create_task(door.post("/oauth/token", data=wanted(place.keys["billing"])))
        await wait_until(lambda: issuer.posts, timeout=10.0)
        server.process.send_signal(signal.SIGTERM)
        answer = await asking
        assert answer.status_code == 200, answer.text
        assert answer.headers["connection"] == "close"
        assert await server.stop() == 0
        with pytest.raises(httpx.TransportError):
            await door.post("/oauth/token", data=wanted(place.keys["billing"]))


def _misplaced(door: httpx.AsyncClient, right: str, wrong: str) -> list[Coroutine[Any, Any, httpx.Response]]:
    """Requests with keys where none, or another one, should be."""
    return [
        door.post("/oauth/token", data=wanted(wrong)),
        door.post("/oauth/token", json=wanted(wrong)),
        door.post("/oauth/token", data=wanted(""), auth=("default", wrong)),
        door.post("/oauth/token", data=wanted(""), headers={"Authorization": f"Bearer {wrong}"}),
        door.post("/oauth/token", data=wanted(""), headers={"Authorization": right}),
        door.post("/oauth/token", data=wanted(right), auth=("default", wrong)),
        door.post(
            "/oauth/token",
            content=f'{{"client_secret": "{right}"'.encode(),
            headers={"Content-Type": "application/json"},
        ),
        door.post("/oauth/token", content=right.encode(), headers={"Content-Type": right}),
        door.post(f"/oauth/token?client_secret={right}", data=wanted(right)),
        door.post(f"/{right}", data=wanted(right)),
        door.post("/oauth/token", data=wanted(right), headers={"Origin": right}),
        *(
            door.post("/oauth/token", data=wanted(right, **{name: right}))
            for name in (
                "grant_type",
                "organization",
                "client_assertion",
            )  # the audit log says which key was asked for
        ),
    ]


@pytest.mark.slow
async def test_no_secret_is_seen_but_by_who_asked(place: Place, issuer: FaultyIssuer) -> None:
    """Not in a log at the lowest level, the audit log, an error, an argument list; wherever a caller put it."""
    leaks = LeakChecker()
    leaks.know("the client secret", CLIENT_SECRET)
    for name, key in place.keys.items():
        leaks.know(f"the key of {name}", key)
    wrong = "mok_billing_" + "canary7" * 6
    leaks.know("a wrong key", wrong)
    found: list[str] = []
    async with replica(place.directory, place.settings) as server, place.door(server) as door:
        right = place.keys["billing"]
        token = (await door.post("/oauth/token", data=wanted(right))).json()["access_token"]
        leaks.know_token(token)
        for number, fault in enumerate((Fault(status=401, body=CLIENT_SECRET), Fault(status=500, body=CLIENT_SECRET))):
            issuer.fault = fault
            audience = f"https://trouble.example.com/{number}"
            answer = await door.post("/oauth/token", data=wanted(right, audience=audience))
            assert answer.status_code in (502, 503), answer.text
            found += leaks.find("an answer", answer.text)
        for answer in await asyncio.gather(*_misplaced(door, right, wrong)):
            assert answer.status_code >= 400
            found += leaks.find("an answer", f"{answer.text} {dict(answer.headers)}")
        reader, writer = await asyncio.open_connection("127.0.0.1", door.base_url.port)
        writer.write(f"POST /oauth/token HTTP/1.1\r\nAuthorization: Bearer {right}\r\n\r\n".encode())
        await reader.read()
        writer.close()
        found += leaks.find_in_arguments(server.process.pid)
    found += leaks.find_in_file(server.log) + leaks.find_in_file(place.audit)
    assert found == []
    assert server.events("call_failed")


@pytest.mark.parametrize("tls", [True, False])
async def test_a_port_that_is_taken_ends_the_start_with_a_sentence(place: Place, tls: bool) -> None:
    """It names the address."""
    taken = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
    settings = place.settings | {"TOKEN_ENDPOINT__LISTEN": address}
    if not tls:
        settings = {name: text for name, text in settings.items() if not name.startswith("TLS__")}
    log = place.directory / "start.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *PROGRAM, "serve"),
            env={f"MINTONCE_{name}": text for name, text in settings.items()},
            stderr=stderr,
        )
    async with asyncio.timeout(30.0):
        assert await process.wait() == 1
    assert f"cannot listen on {address}" in log.read_text()
    assert "Traceback" not in log.read_text()
    taken.close()
