"""Revoking a token (RFC 7009) is rejecting it for the fleet: found by its text, judged by the policy of its key."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import AsyncMock
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from mintonce_server.core.policy import Act, Policy
from support.door import FORM, OPTIONS, Door, Reply, door, message
from support.gatehouse import Gatehouse, gatehouse, rule
from support.house import AUDIENCE, CLIENT
from support.surroundings import issuer_with_log


@pytest_asyncio.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gatehouse]:
    """Billing may get and reject, cart only get."""
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as issuer:
        async with gatehouse(tmp_path, issuer) as running:
            running.policy = Policy(
                [
                    rule("billing", "key:billing", may=frozenset({Act.GET, Act.REJECT})),
                    rule("cart", "key:cart", may=frozenset({Act.GET})),
                ]
            )
            yield running


@pytest_asyncio.fixture
async def endpoint(gate: Gatehouse) -> AsyncIterator[Door]:
    async with door(gate.replica.calls) as running:
        yield running


async def revoke(endpoint: Door, key: str, token: str, **more: str) -> Reply:
    parameters = {"client_id": CLIENT, "client_secret": key, "token": token, **more}
    body = urlencode({name: text for name, text in parameters.items() if text}).encode()
    return await endpoint.send(message(body, {"Content-Type": FORM}, target="/oauth/revoke"))


async def test_a_revoked_token_is_replaced_for_the_fleet(gate: Gatehouse, endpoint: Door) -> None:
    """200 without a body. The audit log names the key that was found."""
    key = gate.keys["billing"]
    token = str((await endpoint.ask(key)).said["access_token"])
    answer = await revoke(endpoint, key, token)
    assert (answer.status, answer.body) == (200, b"")
    assert (await endpoint.ask(key)).said["access_token"] != token
    (line,) = [line for line in gate.audit if line.act == "reject"]
    assert (line.client, line.audience, line.via, line.status) == (CLIENT, AUDIENCE, "http", "OK")


async def test_its_key_can_be_said(gate: Gatehouse, endpoint: Door) -> None:
    """Then the client's other tokens are not looked through."""
    key = gate.keys["billing"]
    token = str((await endpoint.ask(key)).said["access_token"])
    assert (await revoke(endpoint, key, token, audience=AUDIENCE)).status == 200
    assert (await endpoint.ask(key)).said["access_token"] != token


async def test_a_token_that_is_not_known_is_revoked_already(gate: Gatehouse, endpoint: Door) -> None:
    """200, and nothing changes."""
    key = gate.keys["billing"]
    token = (await endpoint.ask(key)).said["access_token"]
    assert (await revoke(endpoint, key, "another")).status == 200
    assert (await endpoint.ask(key)).said["access_token"] == token


@pytest.mark.parametrize("client_id", ["stranger", "*", "a\n{}", "A" * 65])
async def test_of_a_client_that_no_rule_names_nothing_is_searched(
    gate: Gatehouse, endpoint: Door, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look through the store is work that only those cause who may reject something."""
    searched = AsyncMock()
    monkeypatch.setattr(gate.replica.broker, "list_tokens", searched)
    for name in ("billing", "cart"):
        assert (await revoke(endpoint, gate.keys[name], "any", client_id=client_id)).status == 400
    assert (await revoke(endpoint, gate.keys["cart"], "any")).error == "unauthorized_client"
    assert gate.audit[-1].decision == "deny"
    searched.assert_not_awaited()


async def test_a_caller_that_may_not_reject_revokes_nothing(gate: Gatehouse, endpoint: Door) -> None:
    """By the policy for the key that is found."""
    token = (await endpoint.ask(gate.keys["cart"])).said["access_token"]
    answer = await revoke(endpoint, gate.keys["cart"], str(token))
    assert (answer.status, answer.error) == (400, "unauthorized_client")
    assert (await revoke(endpoint, "mok_wrong", str(token))).status == 401
    assert (await endpoint.ask(gate.keys["cart"])).said["access_token"] == token


async def test_a_key_is_rotated_once_in_its_interval(gate: Gatehouse, endpoint: Door) -> None:
    """A program that revokes whatever it gets costs one mint, not one for each try."""
    key = gate.keys["billing"]
    answers = [await revoke(endpoint, key, str((await endpoint.ask(key)).said["access_token"])) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_without_a_token_it_is_no_revocation(gate: Gatehouse, endpoint: Door) -> None:
    """Said before anything is looked for."""
    answer = await revoke(endpoint, gate.keys["billing"], "")
    assert (answer.status, answer.error) == (400, "invalid_request")


async def test_revocation_is_off_unless_it_is_set(gate: Gatehouse) -> None:
    """Some programs revoke when they end. Here that would take the token from the whole fleet."""
    async with door(gate.replica.calls, replace(OPTIONS, revocation=False)) as closed:
        assert (await revoke(closed, gate.keys["billing"], "any")).status == 404
