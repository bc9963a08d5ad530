"""Before the broker: who is it, may it, how much; and a line in the audit log."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mintonce import MintonceError
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.core.policy import Act, Policy, Rule
from support.gatehouse import ALL, Gatehouse, gatehouse, reason_of, rule
from support.house import AUDIENCE, CLIENT
from support.options import QUOTA_OPTIONS
from support.waiting import wait_until


@pytest.fixture
async def guarded(tmp_path: Path, issuer: PracticeIssuer) -> AsyncIterator[Gatehouse]:
    async with gatehouse(tmp_path, issuer) as running:
        running.policy = Policy([rule("billing", "key:billing", may=ALL - {Act.ADMIN}), rule("ops", "key:operator")])
        yield running


async def test_a_rule_lets_its_caller_in(guarded: Gatehouse) -> None:
    """And the audit log says which rule it was, and what went out."""
    async with guarded.caller("billing") as client:
        token = await client.get(CLIENT, AUDIENCE)

    (record,) = guarded.audit
    assert (record.caller, record.caller_kind, record.decision, record.rule) == (
        "key:billing",
        "api_key",
        "allow",
        "billing",
    )
    assert (record.act, record.status, record.generation) == ("get", "OK", token.generation)
    assert record.token_sha256
    assert token.access_token not in repr(record)


async def test_who_proves_nothing_gets_nothing(guarded: Gatehouse) -> None:
    """Not even an answer about a malformed question."""
    assert (await reason_of(guarded.caller("anonymous")))[0] == "UNAUTHENTICATED"
    assert (await reason_of(guarded.caller("anonymous"), name="no such name!"))[0] == "UNAUTHENTICATED"
    assert [record.decision for record in guarded.audit] == ["unauthenticated"] * 2


async def test_a_denial_tells_nothing_about_existence(guarded: Gatehouse) -> None:
    """The same words for a live token, for an audience that the client may not have, and for no client at all."""
    async with guarded.caller("billing") as client:
        await client.get(CLIENT, AUDIENCE)

    answers = {
        await reason_of(guarded.caller("cart")),
        await reason_of(guarded.caller("cart"), audience="https://other.example.com/"),
        await reason_of(guarded.caller("cart"), name="nosuchclient"),
        await reason_of(guarded.caller("billing"), scopes=("admin:all",)),
    }

    assert {reason for reason, _ in answers} == {"PERMISSION_DENIED"}
    assert len(answers) == 1
    assert len({entry.key.client for entry in guarded.replica.broker._cache}) == 1


async def test_each_act_needs_to_be_allowed(guarded: Gatehouse) -> None:
    """Who may have a token may not therefore list, rotate or reject."""
    guarded.policy = Policy([rule("read only", "key:billing", may=frozenset({Act.GET}))])
    async with guarded.caller("billing") as client:
        token = await client.get(CLIENT, AUDIENCE)
        for forbidden in (
            client.reject(CLIENT, AUDIENCE, generation=token.generation),
            client.list_tokens(),
            client.rotate(CLIENT, AUDIENCE),
            anext(aiter(client.watch(CLIENT, AUDIENCE))),
        ):
            with pytest.raises(MintonceError) as caught:
                await forbidden
            assert caught.value.reason == "PERMISSION_DENIED"


async def test_a_list_shows_only_what_its_reader_administers(guarded: Gatehouse) -> None:
    """Others' keys are not there for it."""
    async with guarded.caller("billing") as billing, guarded.caller("operator") as operator:
        await billing.get(CLIENT, AUDIENCE)
        await billing.get(CLIENT, AUDIENCE, ["orders:read"])
        assert len((await operator.list_tokens()).tokens) == 2
        guarded.policy = Policy([Rule("ops", ("key:operator",), (CLIENT,), (AUDIENCE,), (), ALL)])
        assert [token.scopes for token in (await operator.list_tokens()).tokens] == [()]


async def test_a_list_is_cut_after_others_keys_are_left_out(guarded: Gatehouse) -> None:
    """Else they would take the room of those that its reader may see, and a list would look empty."""
    scopes = [f"orders:{letter}" for letter in "abcdefgh"]
    async with guarded.caller("billing") as billing, guarded.caller("operator") as operator:
        for scope in scopes:
            await billing.get(CLIENT, AUDIENCE, [scope])
        for scope in scopes:
            guarded.policy = Policy([Rule("ops", ("key:operator",), (CLIENT,), (AUDIENCE,), (scope,), ALL)])
            listed = await operator.list_tokens(page_size=1)
            assert ([token.scopes for token in listed.tokens], listed.next_page_token) == ([(scope,)], "")


async def test_the_audit_line_of_a_list_names_the_client(guarded: Gatehouse) -> None:
    """Whose tokens were asked for; also when no client is registered by that name, or the caller may not ask."""
    async with guarded.caller("operator") as operator, guarded.caller("cart") as cart:
        await operator.list_tokens(CLIENT)
        await operator.list_tokens()
        await operator.list_tokens("gone\x1b")
        with pytest.raises(MintonceError):
            await cart.list_tokens(CLIENT)
    assert [(line.client, line.decision) for line in guarded.audit] == [
        (CLIENT, "allow"),
        ("", "allow"),
        ("gone\x1b", "allow"),
        (CLIENT, "deny"),
    ]


async def test_the_audit_line_of_a_rejection_names_what_was_rejected(guarded: Gatehouse) -> None:
    """By its number or its fingerprint, as the caller did; whatever comes of it."""
    async with guarded.caller("billing") as client, guarded.caller("cart") as cart:
        token = await client.get(CLIENT, AUDIENCE)
        digest = hashlib.sha256(token.access_token.encode()).digest()
        await client.reject(CLIENT, AUDIENCE, fingerprint=digest)
        await client.reject(CLIENT, AUDIENCE, generation=token.generation)
        with pytest.raises(MintonceError):
            await cart.reject(CLIENT, AUDIENCE, generation=2**62)
    assert [(line.generation, line.token_sha256, line.decision) for line in guarded.audit if line.act == "reject"] == [
        (0, digest.hex()[:16], "allow"),
        (token.generation, "", "allow"),
        (2**62, "", "deny"),
    ]


async def test_a_watch_ends_when_the_policy_no_longer_allows_it(guarded: Gatehouse) -> None:
    """At once, and not with the next token."""
    async with guarded.caller("billing") as client, client.watch(CLIENT, AUDIENCE) as watch:
        await anext(watch)
        guarded.policy = Policy([])
        guarded.replica.broker.recheck()
        with pytest.raises(MintonceError) as caught:
            async with asyncio.timeout(5.0):
                await anext(watch)

    assert caught.value.reason == "PERMISSION_DENIED"
    assert [record.status for record in guarded.audit] == ["OK", "PERMISSION_DENIED"]


async def test_a_watch_that_its_caller_ends_is_in_the_audit_log(guarded: Gatehouse) -> None:
    """Its tokens, and its end."""
    async with guarded.caller("billing") as client, client.watch(CLIENT, AUDIENCE) as watch:
        await anext(watch)

    await wait_until(lambda: len(guarded.audit) == 2)
    assert [record.status for record in guarded.audit] == ["OK", "CANCELLED"]


async def test_nothing_is_handed_out_that_the_audit_log_cannot_take(guarded: Gatehouse) -> None:
    """And all goes on when there is room again."""
    guarded.audit_is_full = True
    reason, _ = await reason_of(guarded.caller("billing"))
    assert reason == "AUDIT_UNAVAILABLE"

    guarded.audit_is_full = False
    async with guarded.caller("billing") as client:
        assert (await client.get(CLIENT, AUDIENCE)).access_token


async def test_a_caller_that_asks_for_too_much_is_limited_and_others_are_not(
    tmp_path: Path, issuer: PracticeIssuer
) -> None:
    """Invented scopes cost the one who invents them; what is minted is served all the same."""
    few = replace(QUOTA_OPTIONS, mints_per_second=0.001, mint_burst=3)
    async with gatehouse(tmp_path, issuer, few) as gate:
        gate.policy = Policy([rule("all", "key:*")])
        async with gate.caller("cart") as greedy, gate.caller("billing") as other:
            for number in range(3):
                await greedy.get(CLIENT, AUDIENCE, [f"orders:{number}"])
            with pytest.raises(MintonceError) as caught:
                await greedy.get(CLIENT, AUDIENCE, ["orders:3"])
            assert caught.value.reason == "LIMIT_EXCEEDED"
            assert (await greedy.get(CLIENT, AUDIENCE, ["orders:0"])).access_token
            assert (await other.get(CLIENT, AUDIENCE)).access_token


async def test_watches_of_one_caller_are_bounded(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """One more is refused; when one ends there is room."""
    async with gatehouse(tmp_path, issuer, replace(QUOTA_OPTIONS, max_watches_per_caller=1)) as gate:
        gate.policy = Policy([rule("all", "key:*")])
        async with gate.caller("billing") as client, client.watch(CLIENT, AUDIENCE) as first:
            await anext(first)
            async with client.watch(CLIENT, AUDIENCE) as second:
                with pytest.raises(MintonceError) as caught:
                    await anext(second)
            assert caught.value.reason == "LIMIT_EXCEEDED"
            async with gate.caller("cart") as other, other.watch(CLIENT, AUDIENCE) as theirs:
                await anext(theirs)


async def test_caller_and_audit_log_name_a_call_alike(guarded: Gatehouse) -> None:
    """So that an error that a user reports is found in the log."""
    async with guarded.caller("cart") as client:
        with pytest.raises(MintonceError) as caught:
            await client.get(CLIENT, AUDIENCE)

    assert caught.value.request_id == guarded.audit[0].request_id
