"""A call that goes on proves its caller again when what proofs are held against has changed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient, MintonceError
from mintonce_server.calls.authorize import Guards
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.caller import Caller, CallerKind
from mintonce_server.core.policy import Policy
from support.faulty_issuer import Fault, FaultyIssuer
from support.gatehouse import Gatehouse, gatehouse, rule
from support.house import AUDIENCE, CLIENT, KEY, house
from support.waiting import wait_until


@pytest.fixture
async def guarded(tmp_path: Path, issuer: FaultyIssuer) -> AsyncIterator[Gatehouse]:
    async with gatehouse(tmp_path, issuer) as running:
        running.policy = Policy([rule("all", "key:*")])
        yield running


async def test_a_watch_ends_when_its_caller_s_key_is_taken_out(guarded: Gatehouse) -> None:
    """At once, and the next token does not go out. Others' watches go on."""
    async with (
        guarded.caller("billing") as client,
        guarded.caller("cart") as other,
        client.watch(CLIENT, AUDIENCE) as watch,
        other.watch(CLIENT, AUDIENCE) as theirs,
    ):
        first, _ = await anext(watch), await anext(theirs)
        guarded.know("cart", "operator")
        with pytest.raises(MintonceError) as caught:
            async with asyncio.timeout(5.0):
                await anext(watch)
        async with guarded.caller("operator") as operator:
            await operator.rotate(CLIENT, AUDIENCE)
        async with asyncio.timeout(5.0):
            assert (await anext(theirs)).generation > first.generation

    assert caught.value.reason == "UNAUTHENTICATED"
    mine = [(line.status, line.decision, line.generation) for line in guarded.audit if line.caller == "key:billing"]
    assert mine == [("OK", "allow", first.generation), ("UNAUTHENTICATED", "unauthenticated", 0)]


async def test_a_token_that_comes_after_its_caller_s_key_went_is_not_handed_out(
    guarded: Gatehouse, issuer: FaultyIssuer
) -> None:
    """To a get or to the beginning of a watch that had to wait for a mint."""
    issuer.fault = Fault(latency=0.5)
    async with guarded.caller("billing") as client:

        async def first() -> None:
            async with client.watch(CLIENT, AUDIENCE) as watch:
                await anext(watch)

        getting, watching = asyncio.create_task(client.get(CLIENT, AUDIENCE)), asyncio.create_task(first())
        await wait_until(lambda: issuer.posts == 1)
        guarded.know("cart")
        ends = await asyncio.gather(getting, watching, return_exceptions=True)
        reasons = [error.reason for error in ends if isinstance(error, MintonceError)]
    assert reasons == ["UNAUTHENTICATED", "UNAUTHENTICATED"]


async def test_a_proof_is_looked_at_again_only_when_something_has_changed(issuer: FaultyIssuer) -> None:
    """Signatures cost more than pushes. And another name for the same proof is another caller."""
    proven: list[str] = []
    names, version = ["key:a"], [0]

    def identify(certificate: bytes | None, authorization: Sequence[str], chain: bytes) -> Caller:
        proven.append(names[0])
        return Caller(names[0], CallerKind.API_KEY)

    guards = Guards(identify, lambda: Policy([rule("all", "key:*")]), None, None, lambda: version[0])
    async with (
        house(issuer.token_url, clock=SystemClock(), guards=guards) as replica,
        AsyncTokenClient(replica.target, timeout=5.0) as client,
        client.watch(CLIENT, AUDIENCE) as watch,
    ):
        token = await anext(watch)
        for _ in range(3):
            replica.broker.recheck()
            _, generation = await replica.broker.rotate(KEY, 5.0)
            token = await anext(watch)
            assert token.generation == generation
        assert proven == ["key:a"]

        version[0] += 1
        replica.broker.recheck()
        await wait_until(lambda: len(proven) == 2)

        names[0], version[0] = "key:b", version[0] + 1
        replica.broker.recheck()
        with pytest.raises(MintonceError) as caught:
            async with asyncio.timeout(5.0):
                await anext(watch)
    assert caught.value.reason == "UNAUTHENTICATED"
    assert len(proven) == 3
