"""7. When a resource server refuses a token before its end, a caller says so: reject. It never mints by itself."""

import asyncio

import pytest

from mintonce import MintonceError
from support.fleet import Fleet
from support.house import AUDIENCE, CLIENT
from support.waiting import wait_until


async def test_a_rejected_token_is_served_no_more_and_the_next_caller_gets_its_successor(fleet: Fleet) -> None:
    """A reject costs nothing; the successor costs one mint."""
    replica = await fleet.replica()
    first = await replica.get()
    assert await replica.reject(first)
    assert fleet.issuer.posts == 1
    second = await replica.get()
    assert second.generation > first.generation
    assert fleet.issuer.posts == 2


async def test_every_replica_drops_it(fleet: Fleet) -> None:
    """They hear of it, and would notice by themselves within seconds otherwise."""
    replicas = await fleet.replicas(3)
    first = await replicas[0].get()
    for replica in replicas[1:]:
        await replica.get()
    await replicas[0].reject(first)
    await wait_until(lambda: not any(replica.holds(first) for replica in replicas))
    assert len({(await replica.get()).access_token for replica in replicas} | {first.access_token}) == 2
    assert fleet.issuer.posts == 2


async def test_however_many_callers_reject_it_one_successor_is_minted(fleet: Fleet) -> None:
    """They all had the same token, and all say so at about the same time, at different replicas, some late."""
    replicas = await fleet.replicas(3)
    first = await replicas[0].get()

    async def refused(n: int) -> str:
        replica = replicas[n % 3]
        await replica.reject(first)
        return (await replica.get()).access_token

    texts = set(await asyncio.gather(*(refused(n) for n in range(60))))
    assert len(texts) == 1
    assert not await replicas[1].reject(first) or fleet.issuer.posts == 2
    assert fleet.issuer.posts == 2


async def test_a_reject_of_an_older_token_changes_nothing(fleet: Fleet) -> None:
    """It has been replaced already: False, and no mint."""
    replica = await fleet.replica()
    first = await replica.get()
    await replica.client.rotate(CLIENT, AUDIENCE)
    second = await replica.get()
    assert not await replica.reject(first)
    assert (await replica.get()).access_token == second.access_token
    assert fleet.issuer.posts == 2


async def test_a_caller_that_rejects_in_a_loop_is_limited_and_harms_no_other(fleet: Fleet) -> None:
    """A token refused right after its mint is rarely at fault. One forced mint per key and 30 s."""
    replica = await fleet.replica()
    await replica.reject(await replica.get())
    second = await replica.get()
    with pytest.raises(MintonceError) as caught:
        await replica.reject(second)
    assert caught.value.reason == "ROTATION_TOO_SOON"
    assert caught.value.retry_after
    assert 25.0 < caught.value.retry_after <= 30.0
    assert (await replica.get()).access_token == second.access_token
    assert fleet.issuer.posts == 2


async def test_a_watch_gets_the_successor_of_a_rejected_token_at_once(fleet: Fleet) -> None:
    """Who watches does not call, so the replica mints for it."""
    one, other = await fleet.replicas(2)
    async with one.client.watch(CLIENT, AUDIENCE, timeout=10.0) as watch:
        first = await anext(watch)
        await other.reject(first)
        assert (await anext(watch)).generation > first.generation
    assert fleet.issuer.posts == 2
