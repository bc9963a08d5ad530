"""3. Several replicas are one service: the lease in the store decides who mints, and there is no leader."""

import asyncio

from mintonce import Origin
from support.faulty_issuer import Fault
from support.fleet import Fleet


async def test_three_replicas_and_a_hundred_callers_cost_one_mint(fleet: Fleet) -> None:
    """Whichever replica each of them happens to reach."""
    replicas = await fleet.replicas(3)
    tokens = await asyncio.gather(*(replicas[n % 3].get() for n in range(100)))
    assert len({token.access_token for token in tokens}) == 1
    assert fleet.issuer.posts == 1


async def test_a_replica_that_did_not_mint_takes_the_token_from_the_store(fleet: Fleet) -> None:
    """Once; from then on it has it in memory."""
    one, other = await fleet.replicas(2)
    await one.get()
    assert [(await other.get()).origin for _ in range(2)] == [Origin.STORE, Origin.MEMORY]


async def test_a_replica_that_waits_is_woken_by_the_commit(fleet: Fleet) -> None:
    """It does not mint as well, however slow the issuer is."""
    fleet.issuer.fault = Fault(latency=0.5)
    replicas = await fleet.replicas(3)
    tokens = await asyncio.gather(*(replica.get() for replica in replicas))
    assert sorted(token.origin for token in tokens) == [Origin.MINT, Origin.STORE, Origin.STORE]
    assert fleet.issuer.posts == 1


async def test_a_mint_that_takes_longer_than_a_lease_keeps_it(fleet: Fleet) -> None:
    """The holder renews it while it waits for the issuer, so no other replica begins."""
    fleet.issuer.fault = Fault(latency=1.5)
    replicas = [await fleet.replica(lease_seconds=0.5) for _ in range(2)]
    one, other = await asyncio.gather(*(replica.get() for replica in replicas))
    assert one.access_token == other.access_token
    assert fleet.issuer.posts == 1


async def test_a_caller_that_hangs_up_changes_nothing_for_the_others(fleet: Fleet) -> None:
    """The mint belongs to the key, not to the call that began it."""
    fleet.issuer.fault = Fault(latency=0.5)
    one, other = await fleet.replicas(2)
    impatient = asyncio.create_task(one.get())
    patient = asyncio.create_task(other.get())
    async with asyncio.timeout(5.0):
        while not fleet.issuer.posts:  # noqa: ASYNC110 - the issuer is another thread
            await asyncio.sleep(0.01)
    impatient.cancel()
    await asyncio.wait([impatient])
    assert (await patient).is_live
    assert (await one.get()).access_token == (await patient).access_token
    assert fleet.issuer.posts == 1
