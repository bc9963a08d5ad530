"""What the issuer granted must be covered by the rule of the caller who gets it, each time that it is served."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mintonce import MintonceError
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.policy import Policy, Rule
from mintonce_server.core.ports import Acquired, AcquireRequest
from mintonce_server.store.memory import MemoryStore
from support.faulty_issuer import NONE, Fault, FaultyIssuer
from support.gatehouse import ALL, Gatehouse, gatehouse, reason_of
from support.house import AUDIENCE, CLIENT

BEYOND = "the issuer granted more scopes than the policy allows this caller"
REMEDY = "Name them among the rule's scopes, or grant fewer at the issuer"


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def grants(scope: str, number: int = 1) -> Fault:
    """An issuer that grants this whatever was asked for, and says so in the token alone."""
    token = f"{part({'alg': 'RS256'})}.{part({'scope': scope, 'aud': AUDIENCE, 'jti': number})}.c2ln"
    return Fault(body=json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))


def rule(name: str, *scopes: str) -> Rule:
    return Rule(name, ("key:" + name,), (CLIENT,), (AUDIENCE,), scopes, ALL)


@pytest.fixture
async def guarded(tmp_path: Path, issuer: FaultyIssuer) -> AsyncIterator[Gatehouse]:
    """billing may have what begins with "orders:" and ask for nothing, cart may ask for nothing, operator has all."""
    async with gatehouse(tmp_path, issuer) as running:
        running.policy = Policy([rule("billing", "", "orders:*"), rule("cart"), rule("operator", "*")])
        yield running


async def test_a_caller_gets_what_its_rule_covers_and_no_more(guarded: Gatehouse, issuer: FaultyIssuer) -> None:
    """From the mint and from memory alike: one token, of which each caller is judged by itself."""
    issuer.fault = grants("orders:read orders:write")
    for _ in range(2):
        assert await reason_of(guarded.caller("cart")) == ("PERMISSION_DENIED", BEYOND)
        async with guarded.caller("billing") as billing, guarded.caller("operator") as operator:
            assert (await billing.get(CLIENT, AUDIENCE)).scopes == ("orders:read", "orders:write")
            assert (await operator.get(CLIENT, AUDIENCE)).scopes == ("orders:read", "orders:write")
    assert issuer.posts == 1


async def test_the_audit_log_says_what_was_granted_and_the_caller_does_not_learn_it(
    guarded: Gatehouse, issuer: FaultyIssuer
) -> None:
    """And what to do about it."""
    issuer.fault = grants("orders:read admin:all")
    async with guarded.caller("billing") as client:
        with pytest.raises(MintonceError) as caught:
            await client.get(CLIENT, AUDIENCE)

    assert caught.value.remedy
    assert "admin:all" not in str(caught.value) + str(caught.value.remedy)
    (record,) = guarded.audit
    assert (record.decision, record.rule, record.status) == ("deny", "", "PERMISSION_DENIED")
    assert (record.generation, record.token_sha256) == (0, "")
    assert (record.granted_scopes, record.granted_audience) == (("admin:all", "orders:read"), (AUDIENCE,))
    assert record.detail == f"granted, and covered by no rule: admin:all. {REMEDY}"


async def test_what_was_granted_stands_beside_what_was_asked_for(guarded: Gatehouse, issuer: FaultyIssuer) -> None:
    """Of a token that went out."""
    issuer.fault = grants("orders:write orders:read")
    async with guarded.caller("billing") as client:
        await client.get(CLIENT, AUDIENCE, ["orders:read"])
    (record,) = guarded.audit
    assert (record.scopes, record.granted_scopes) == (("orders:read",), ("orders:read", "orders:write"))
    assert (record.rule, record.detail) == ("billing", "")


async def test_asking_for_nothing_is_denied_before_anything_is_minted(guarded: Gatehouse, issuer: FaultyIssuer) -> None:
    """Where the rule lists scopes, and not the empty one among them."""
    guarded.policy = Policy([rule("billing", "orders:*")])
    reason, text = await reason_of(guarded.caller("billing"))
    assert (reason, issuer.posts) == ("PERMISSION_DENIED", 0)
    assert text != BEYOND
    async with guarded.caller("billing") as client:
        assert (await client.get(CLIENT, AUDIENCE, ["orders:read"])).access_token


async def test_a_watch_is_not_sent_a_successor_with_more(guarded: Gatehouse, issuer: FaultyIssuer) -> None:
    """It ends instead."""
    async with guarded.caller("billing") as client, client.watch(CLIENT, AUDIENCE) as watch:
        await anext(watch)
        issuer.fault = grants("everything")
        async with guarded.caller("operator") as operator:
            await operator.rotate(CLIENT, AUDIENCE)
        with pytest.raises(MintonceError) as caught:
            async with asyncio.timeout(5.0):
                await anext(watch)

    assert (caught.value.reason, str(caught.value)) == ("PERMISSION_DENIED", BEYOND)
    watched = [record for record in guarded.audit if record.act == "watch"]
    assert [(record.status, bool(record.generation)) for record in watched] == [
        ("OK", True),
        ("PERMISSION_DENIED", False),
    ]
    assert watched[1].granted_scopes == ("everything",)


async def test_a_new_policy_is_held_against_what_was_granted(guarded: Gatehouse, issuer: FaultyIssuer) -> None:
    """A watch that has its token already ends when its rule no longer covers the token's scopes."""
    issuer.fault = grants("orders:read")
    async with guarded.caller("billing") as client, client.watch(CLIENT, AUDIENCE) as watch:
        await anext(watch)
        guarded.policy = Policy([rule("billing")])
        guarded.replica.broker.recheck()
        with pytest.raises(MintonceError, match=BEYOND):
            async with asyncio.timeout(5.0):
                await anext(watch)


async def test_a_token_from_the_store_is_judged_as_well(
    guarded: Gatehouse, issuer: FaultyIssuer, tmp_path: Path
) -> None:
    """Another replica minted it."""
    issuer.fault = grants("everything")
    async with guarded.caller("operator") as operator:
        await operator.get(CLIENT, AUDIENCE)
    issuer.fault = NONE
    (tmp_path / "other").mkdir()
    async with gatehouse(tmp_path / "other", issuer, store=guarded.replica.store) as other:
        other.policy = guarded.policy
        assert await reason_of(other.caller("billing")) == ("PERMISSION_DENIED", BEYOND)
        assert (other.audit[0].generation, other.audit[0].granted_scopes) == (0, ("everything",))
    assert issuer.posts == 1


class StoreThatIsAway(MemoryStore):
    """Gives no lease."""

    async def acquire(self, key: TokenKey, request: AcquireRequest) -> Acquired:
        raise StoreUnavailable("the store is away", remedy="Wait.")


async def test_a_token_that_was_minted_without_the_store_is_judged_as_well(
    tmp_path: Path, issuer: FaultyIssuer
) -> None:
    """In an outage, too."""
    async with gatehouse(tmp_path, issuer, store=StoreThatIsAway) as guarded:
        guarded.policy = Policy([rule("billing", "", "orders:*")])
        issuer.fault = replace(grants("everything"), times=1)
        assert await reason_of(guarded.caller("billing")) == ("PERMISSION_DENIED", BEYOND)
    assert issuer.posts == 1
