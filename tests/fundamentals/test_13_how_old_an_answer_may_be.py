"""13. Memory is compared with the store every few seconds: so long, and no longer, may a replica be behind."""

import asyncio
from dataclasses import replace

from support.eventually import eventually
from support.fleet import Fleet
from support.house import AUDIENCE, CLIENT
from support.options import BROKER_OPTIONS

BOUND = 0.5
OPTIONS = replace(BROKER_OPTIONS, revalidate_within=BOUND)


async def test_a_replica_that_hears_nothing_serves_a_rejected_token_no_longer_than_the_bound(fleet: Fleet) -> None:
    """Messages are hints: whatever becomes of them, the age of each answer is looked at when it is served."""
    deaf, other = await fleet.replica(OPTIONS), await fleet.replica()
    first = await deaf.get()
    deaf.deafen()
    await other.reject(first)
    loop = asyncio.get_running_loop()
    acknowledged, served_at = loop.time(), 0.0
    while (asked_at := loop.time()) < acknowledged + 2 * BOUND:
        if (await deaf.get()).generation == first.generation:
            served_at = asked_at
        await asyncio.sleep(0.01)
    assert served_at <= acknowledged + BOUND
    assert fleet.issuer.posts == 2


async def test_a_replica_that_hears_nothing_takes_the_fleet_s_successor(fleet: Fleet) -> None:
    """It asks the store, and mints none of its own."""
    deaf, other = await fleet.replica(OPTIONS), await fleet.replica()
    first = await deaf.get()
    deaf.deafen()
    rotation = await other.client.rotate(CLIENT, AUDIENCE)
    token = await eventually(deaf.get, lambda token: token.generation > first.generation)
    assert token.generation == rotation.generation
    assert fleet.issuer.posts == 2


async def test_a_key_in_use_is_compared_before_its_answer_is_too_old(fleet: Fleet) -> None:
    """Its callers never wait for the store: every answer is from memory."""
    replica = await fleet.replica(OPTIONS)
    first = await replica.get()
    end = asyncio.get_running_loop().time() + 3 * BOUND
    while asyncio.get_running_loop().time() < end:
        token = await replica.get()
        assert (token.access_token, token.degraded) == (first.access_token, False)
        await asyncio.sleep(0.01)
    assert fleet.issuer.posts == 1
