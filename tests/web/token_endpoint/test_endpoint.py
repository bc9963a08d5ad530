"""The token endpoint as its callers find it: who may have which token, and what they are told."""

import asyncio
import base64
import gc
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus

import pytest

from mintonce_server.calls.proof import Proof
from mintonce_server.core.limits import QuotaOptions
from mintonce_server.core.policy import Act, Policy, Rule
from mintonce_server.web.token_endpoint.endpoint import PENALTY
from mintonce_server.web.token_endpoint.request import JWT_BEARER
from mintonce_server.web.token_endpoint.transport import HttpTransport
from mintonce_server.web.token_endpoint.wanted import Registered
from support.certificates import Authority
from support.door import OPTIONS, Reply, asked, form, message
from support.guarded_door import ALLOWED, SPIFFE_ID, guarded_door, usual_rule
from support.house import AUDIENCE, CLIENT
from support.options import QUOTA_OPTIONS

JSON: Final = {"Content-Type": "application/json"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def of_json(parameters: object, **headers: str) -> bytes:
    return message(json.dumps(parameters).encode(), JSON | headers)


async def test_all_callers_get_the_same_token_and_the_issuer_is_asked_once() -> None:
    """By form and object, whichever proof they have, however many there are."""
    async with guarded_door() as guarded:
        key, jwt = guarded.keys["billing"], guarded.jwt
        sent = [
            form(asked(key)),
            of_json(asked(key)),
            form(asked(), basic(CLIENT, key)),
            form(asked(client_id=""), basic(quote_plus(CLIENT), quote_plus(key))),
            form(asked(), {"Authorization": f"Bearer {key}"}),
            form(asked(jwt)),
            form(asked(), basic(CLIENT, jwt)),
            form(asked(), {"Authorization": f"Bearer {jwt}"}),
            form(asked(client_assertion=jwt, client_assertion_type=JWT_BEARER)),
            form(asked(key, audience="", resource=AUDIENCE)),
        ]
        replies = await asyncio.gather(*(guarded.opened.send(each) for each in sent * 10))
        assert {reply.status for reply in replies} == {200}
        assert len({reply.said["access_token"] for reply in replies}) == 1
        assert guarded.bench.issuer.mints == 1
        assert {record.caller for record in guarded.audit} == {"key:billing", ALLOWED[1]}


async def test_an_answered_request_leaves_nothing_for_the_garbage_collector() -> None:
    """Its passes were a tenth of what a request cost."""
    async with guarded_door() as guarded:
        ask = form(asked(guarded.keys["billing"]))
        await guarded.opened.send(ask)
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await guarded.opened.send(ask)
            left = [each for each in gc.get_objects() if isinstance(each, HttpTransport)]
        finally:
            gc.enable()
    assert left == []


async def test_a_token_is_answered_so_that_nobody_stores_it_on_the_way() -> None:
    """RFC 6749, section 5.1. Nothing says more than it must."""
    async with guarded_door() as guarded:
        reply = await guarded.opened.ask(guarded.keys["billing"], scope="orders:write orders:read")
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["content-type"] == "application/json"
        assert reply.said["token_type"] == "Bearer"
        assert set(reply.said["scope"].split()) == {"orders:read", "orders:write"}
        assert 3400 < reply.said["expires_in"] <= 3600
        assert reply.headers["server"] == "mintonce"
        assert not {"access-control-allow-origin", "set-cookie", "www-authenticate"} & set(reply.headers)


async def test_a_certificate_counts_where_nothing_else_is_said(tmp_path: Path) -> None:
    """As at the gRPC port: what is said decides alone, so a bad proof is refused whatever the certificate."""
    async with guarded_door(authority=Authority(tmp_path), shown=SPIFFE_ID) as guarded:
        assert (await guarded.opened.ask()).status == 200
        assert guarded.audit[-1].caller == SPIFFE_ID
        assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200
        assert guarded.audit[-1].caller == "key:billing"
        for sent in (form(asked("mok_billing_wrong")), form(asked(), basic(CLIENT, "a.b.c"))):
            assert (await guarded.opened.send(sent)).status == 401
            assert guarded.audit[-1].caller == "unknown"


async def test_a_caller_without_a_certificate_is_served_over_tls(tmp_path: Path) -> None:
    """Most libraries have none."""
    async with guarded_door(authority=Authority(tmp_path)) as guarded:
        assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200
        assert (await guarded.opened.ask()).status == 401


@pytest.mark.parametrize("sent", ["nothing", "wrong", "basic", "another issuer's"])
async def test_who_is_not_known_gets_401_and_a_challenge_only_for_a_header(sent: str) -> None:
    """A challenge without an Authorization header hides the error from a library (RFC 6749, section 5.2)."""
    requests = {
        "nothing": form(asked()),
        "wrong": form(asked("mok_billing_0000")),
        "basic": form(asked(), basic(CLIENT, "mok_billing_0000")),
        "another issuer's": form(asked(client_assertion="a.b.c", client_assertion_type=JWT_BEARER)),
    }
    async with guarded_door() as guarded:
        reply = await guarded.opened.send(requests[sent])
        assert (reply.status, reply.error) == (401, "invalid_client")
        assert ("www-authenticate" in reply.headers) == (sent == "basic")
        assert guarded.bench.issuer.mints == 0
        (record,) = guarded.audit
        assert (record.caller, record.via, record.decision) == ("unknown", "http", "unauthenticated")


async def test_a_denied_and_an_unknown_client_are_told_the_same() -> None:
    """Otherwise a caller could try out which names there are. Only the audit log knows."""
    async with guarded_door() as guarded:
        guarded.policy = Policy([usual_rule(CLIENT, "removed")])
        replies = [
            await guarded.opened.ask(guarded.keys["cart"]),
            await guarded.opened.ask(guarded.keys["billing"], client_id="removed"),
            await guarded.opened.ask(guarded.keys["billing"], client_id="never-there"),
            await guarded.opened.ask(guarded.keys["billing"], audience="https://other.example.com/"),
        ]
        told = {(reply.status, reply.body) for reply in replies}
        assert len(told) == 1
        assert (replies[0].status, replies[0].error) == (400, "unauthorized_client")
        headers = [{name for name in reply.headers if name != "x-request-id"} for reply in replies]
        assert headers.count(headers[0]) == len(replies)
        assert [record.reason for record in guarded.audit] == [
            "PERMISSION_DENIED",
            "UNKNOWN_CLIENT",
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
        ]
        assert guarded.bench.issuer.mints == 0


async def test_the_client_id_at_the_issuer_names_the_client_too() -> None:
    """So that a program's settings need not change. The registered name wins."""
    registered = Registered(frozenset({CLIENT, "cart"}), {"aB3xReal": CLIENT, "cart": CLIENT}, {})
    options = replace(OPTIONS, registered=registered)
    async with guarded_door(options) as guarded:
        key = guarded.keys["billing"]
        assert (await guarded.opened.ask(key, client_id="aB3xReal")).status == 200
        assert (await guarded.opened.ask(key, client_id="cart")).error == "unauthorized_client"
        assert (await guarded.opened.ask(key, client_id="aB3xOther")).error == "unauthorized_client"
        assert [record.client for record in guarded.audit] == [CLIENT, "cart", "aB3xOther"]


async def test_the_default_audience_is_for_requests_without_one() -> None:
    """Of that client only, and under the policy as if it had been sent."""
    audiences = {CLIENT: AUDIENCE, "cart": "https://cart.example.com/"}
    options = replace(OPTIONS, registered=Registered(frozenset({CLIENT}), {}, audiences))
    async with guarded_door(options) as guarded:
        key = guarded.keys["billing"]
        first = await guarded.opened.ask(key, audience="")
        assert first.said["access_token"] == (await guarded.opened.ask(key)).said["access_token"]
        guarded.policy = Policy([Rule("r", ALLOWED, ("*",), ("",), ("",), frozenset({Act.GET}))])
        assert (await guarded.opened.ask(key, audience="")).error == "unauthorized_client"
        assert {record.audience for record in guarded.audit} == {AUDIENCE}
    for others in ({}, {"cart": AUDIENCE}):
        async with guarded_door(replace(OPTIONS, registered=Registered(frozenset({CLIENT}), {}, others))) as guarded:
            assert (await guarded.opened.ask(guarded.keys["billing"], audience="")).status == 200
            assert guarded.audit[-1].audience == ""


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"client_id": ""}, "invalid_request"),
        ({"client_id": "../x"}, "invalid_request"),
        ({"scope": 'quo"te'}, "invalid_scope"),
        ({"scope": "a\tb"}, "invalid_scope"),
        ({"audience": "two  blanks"}, "invalid_target"),
        ({"audience": "\n"}, "invalid_target"),
        ({"resource": "https://other.example.com/"}, "invalid_target"),
        ({"organization": "acme"}, "invalid_request"),
    ],
)
async def test_a_mistake_is_told_by_its_code(more: dict[str, str], error: str) -> None:
    """RFC 6749, section 5.2, and RFC 8707. It costs nothing, and is in the audit log."""
    async with guarded_door() as guarded:
        reply = await guarded.opened.ask(guarded.keys["billing"], {"X-Request-Id": "r-42"}, **more)
        assert (reply.status, reply.error) == (400, error)
        assert reply.headers["x-request-id"] == "r-42"
        assert "retry-after" not in reply.headers
        assert guarded.bench.issuer.mints == 0
        assert [(record.via, record.request_id, record.reason) for record in guarded.audit] == [
            ("http", "r-42", "INVALID_REQUEST")
        ]


@pytest.mark.parametrize("escape", [r"\ud800", r"\u0000", "\\ud83d", "\\u202e"])
@pytest.mark.parametrize("name", ["client_id", "audience", "scope", "resource"])
async def test_characters_that_no_text_has_are_refused(escape: str, name: str) -> None:
    """Lone surrogates are JSON, but no UTF-8."""
    async with guarded_door() as guarded:
        parameters = json.dumps(asked(guarded.keys["billing"], **{"audience": "", name: "X"}))
        reply = await guarded.opened.send(message(parameters.replace('"X"', f'"{escape}"').encode(), JSON))
        assert reply.status == 400
        assert guarded.bench.issuer.mints == 0


async def test_no_answer_repeats_what_was_sent() -> None:
    """A caller may have put its secret into the wrong field."""
    canary = "canary7f3a"
    async with guarded_door() as guarded:
        guarded.policy = Policy([Rule("all", ("*",), ("*",), ("*",), ("", "*"), frozenset(Act))])
        fields = ("grant_type", "client_id", "audience", "scope", "resource", "client_assertion", "organization")
        sent = [form(asked(guarded.keys["billing"], **{name: canary})) for name in fields]
        sent += [form(asked(canary)), form(asked(), basic(canary, canary)), form(asked(), {"Authorization": canary})]
        sent += [message(b"", {"Content-Type": canary}), message(b"", {}, f"/{canary}"), message(b"", {}, method="PUT")]
        sent += [message(canary.encode(), JSON), form(asked(), {"Origin": canary}), form(asked(), {"DPoP": canary})]
        sent += [message(b"", {}, f"/oauth/token?client_id={canary}"), form(asked(), {"Content-Encoding": canary})]
        for each in sent:
            reply = await guarded.opened.send(each)
            assert reply.status >= 400 or b"audience=canary" in each or b"scope=canary" in each
            assert canary not in json.dumps([reply.said.get("error_description", ""), dict(reply.headers)])


async def test_a_token_is_in_the_audit_log_before_it_is_handed_out() -> None:
    """If it cannot be written, there is no token."""
    async with guarded_door() as guarded:
        guarded.audit_is_full = True
        reply = await guarded.opened.ask(guarded.keys["billing"])
        assert (reply.status, reply.error, reply.headers["retry-after"]) == (503, "temporarily_unavailable", "1")
        assert "access_token" not in reply.said
        guarded.audit_is_full = False
        assert (await guarded.opened.ask(guarded.keys["billing"], {"X-Request-Id": "r-7"})).status == 200
        (record,) = guarded.audit
        assert (record.request_id, record.caller, record.via, record.status) == ("r-7", "key:billing", "http", "OK")
        assert record.peer.startswith("ipv4:127.0.0.1:")


async def test_quotas_are_those_of_grpc() -> None:
    """Mints a second, by caller: the same buckets, wherever its calls come in."""
    quotas: QuotaOptions = replace(QUOTA_OPTIONS, mints_per_second=0.5, mint_burst=1)
    async with guarded_door(quotas=quotas) as guarded:
        assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200
        reply = await guarded.opened.ask(guarded.keys["billing"], scope="orders:read")
        assert (reply.status, reply.error) == (429, "temporarily_unavailable")
        assert int(reply.headers["retry-after"]) >= 1
        assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200
        assert guarded.bench.issuer.mints == 1


async def test_failed_proofs_are_limited_for_their_address_before_anything_is_hashed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five seconds' worth at once. Another address is served meanwhile, and the first one again after a moment."""
    async with guarded_door(replace(OPTIONS, failed_proofs_per_second=2.0)) as guarded:
        statuses = [(await guarded.opened.ask("mok_billing_wrong")).status for _ in range(10)]
        assert statuses == [401] * 10
        proven: list[object] = []
        authorizer = guarded.opened.site._calls.authorizer
        prove = authorizer.prove

        def counted(shown: HttpTransport) -> Proof:
            proven.append(shown)
            return prove(shown)

        monkeypatch.setattr(authorizer, "prove", counted)
        for key in ("mok_billing_wrong", guarded.keys["billing"]):
            began = time.monotonic()
            reply = await guarded.opened.ask(key)
            assert (reply.status, reply.error) == (429, "temporarily_unavailable")
            assert reply.headers["retry-after"] == "1"
            assert time.monotonic() - began >= PENALTY
        assert proven == []
        other = replace(guarded.opened, address="127.0.0.2")
        assert (await other.ask(guarded.keys["billing"])).status == 200
        guarded.bench.clock.advance(0.6)
        assert (await guarded.opened.ask(guarded.keys["billing"])).status == 200
        assert len(proven) == 2


@pytest.mark.parametrize("sign", ["Origin", "Sec-Fetch-Site"])
async def test_browsers_are_refused(sign: str) -> None:
    """No web page may ask in its reader's name, from within the reader's network."""
    async with guarded_door() as guarded:
        reply = await guarded.opened.ask(guarded.keys["billing"], {sign: "https://evil.example.com"})
        assert (reply.status, reply.error) == (403, "invalid_request")
        assert guarded.audit == []
        assert (await guarded.opened.ask(guarded.keys["billing"], {"Sec-Fetch-Mode": "cors"})).status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (message(b"", {}, "/"), 404),
        (message(b"", {}, "/oauth/token/"), 404),
        (message(b"", {}, "//oauth/token"), 404),
        (message(b"", {}, "/oauth/%74oken"), 404),
        (message(b"", {}, "/a/../oauth/token"), 404),
        (message(b"", {}, "/oauth/token#x"), 404),
        (message(b"", {}, "http://localhost/oauth/token"), 404),
        (message(b"", {}, "localhost:80", "CONNECT"), 404),
        (message(b"", {}, "*", "OPTIONS"), 404),
        (message(b"", {}, method="OPTIONS"), 405),
        (message(b"", {}, method="GET"), 405),
        (message(b"", {}, method="PUT"), 405),
        (message(b"", {}, method="DELETE"), 405),
        (message(b"a" * 16_385, {"Content-Type": "text/plain"}), 413),
        (message(b"4e20\r\n" + b"a" * 20_000 + b"\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"}), 413),
        (message(b"x", {"Content-Type": "text/plain"}), 415),
        (message(b"x", {}), 415),
        (form(asked(), {"Content-Encoding": "gzip"}), 415),
        (form(asked(), {"Content-Encoding": "identity"}), 415),
        (message(b"", {}, "/oauth/token?client_secret=x"), 400),
    ],
)
async def test_what_is_no_token_request_is_refused(sent: bytes, status: int) -> None:
    """In JSON, like all errors. The path is taken as it was sent."""
    sent = sent.replace(b"Content-Length: 20013\r\n", b"")
    async with guarded_door() as guarded:
        reply = await guarded.opened.send(sent)
        assert (reply.status, reply.error) == (status, "invalid_request")
        assert reply.headers.get("allow") == ("POST" if status == 405 else None)


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth2/token", "/token", "/oauth/token?client-request-id=1"])
async def test_each_path_of_the_endpoint_serves_tokens(path: str) -> None:
    """What libraries have in their settings."""
    async with guarded_door() as guarded:
        body = form(asked(guarded.keys["billing"])).partition(b"\r\n\r\n")[2]
        sent = message(body, {"Content-Type": "application/x-www-form-urlencoded"}, path)
        assert (await guarded.opened.send(sent)).status == 200


@pytest.mark.parametrize("version", ["1", "1.0"])
async def test_a_hundred_at_once_cost_one_mint(version: str) -> None:
    """All of them wait for the same POST."""
    async with guarded_door() as guarded:
        guarded.bench.issuer.gate.clear()
        sent = form(asked(guarded.keys["billing"])).replace(
            b"HTTP/1.1", b"HTTP/1.0" if version == "1.0" else b"HTTP/1.1"
        )
        asking = [asyncio.create_task(guarded.opened.send(sent)) for _ in range(100)]
        await guarded.bench.issuer.asked.wait()
        guarded.bench.issuer.gate.set()
        replies: list[Reply] = list(await asyncio.gather(*asking))
        assert len({reply.said["access_token"] for reply in replies}) == 1
        assert guarded.bench.issuer.mints == 1
