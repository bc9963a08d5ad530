"""A rejection at a replica that holds the token, while the store has it no more, not yet, or under another number."""

import asyncio

from mintonce_server.core.token import Token
from support.samples import KEY, lease_of, minted, named
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import Workbench, a_moment


async def minted_alone(bench: Workbench) -> Token:
    """The store is back, and has not been asked yet."""
    bench.store.down = ALL
    token = (await bench.get()).token
    bench.store.down = frozenset()
    return token


async def test_the_number_that_a_token_had_in_an_outage_stays_its_name() -> None:
    """The fleet has another one by now, which this replica has not heard of: the rejected one is served no more."""
    bench = Workbench()
    alone = await minted_alone(bench)
    await bench.catch_up()
    numbered = (await bench.get()).token
    assert numbered.served_as == alone.generation
    bench.store.silent = True
    lease = await lease_of(bench.store, newer_than=numbered.generation)
    newer = await bench.store.commit(lease, minted(bench.clock, lifetime=3600.0))
    assert isinstance(newer, Token)
    assert not await bench.broker.reject(KEY, alone.generation)
    served = bench.broker.peek(KEY)
    assert served
    assert named(served.token) == named(newer)


async def test_a_token_that_a_failover_lost_is_rejected_for_all() -> None:
    """The store gets it back first; only so does it know what to bar."""
    bench = Workbench()
    token = (await bench.get()).token
    behind = bench.store.copy(KEY)
    behind.record = None
    bench.store.fail_over(KEY, behind)
    assert await bench.broker.reject(KEY, token.generation)
    assert await bench.store.load([KEY]) == [None]
    assert bench.broker.peek(KEY) is None
    assert (await lease_of(bench.store)).rejected == token.access_token.fingerprint()


async def test_a_rejection_while_the_store_gives_a_number_holds() -> None:
    """It waits for the number, and the token falls by it."""
    bench = Workbench()
    alone = await minted_alone(bench)
    asked, go_on, restore = asyncio.Event(), asyncio.Event(), bench.store.restore

    async def slowly(token: Token) -> object:
        asked.set()
        await go_on.wait()
        return await restore(token)

    bench.store.restore = slowly  # type: ignore[method-assign,assignment] # the wire is slow
    adopting = asyncio.create_task(bench.catch_up())
    await wait_until(asked.is_set)
    rejecting = asyncio.create_task(bench.broker.reject(KEY, alone.generation))
    await a_moment()
    go_on.set()
    await adopting
    assert await rejecting
    assert await bench.store.load([KEY]) == [None]
    assert bench.broker.peek(KEY) is None


async def test_what_its_replica_could_not_commit_is_rejected_at_another_one() -> None:
    """The replica that serves it hears of that when it brings it: no caller gets it again."""
    bench = Workbench()
    other = bench.replica()
    bench.store.down = frozenset({"commit"})
    token = (await bench.get()).token
    bench.store.down = frozenset()
    assert await other.broker.reject(KEY, token.generation)
    await bench.catch_up()
    served = [(await replica.get()).token for replica in (bench, other)]
    assert token.generation < served[0].generation == served[1].generation
    assert bench.issuer.mints == 2


async def test_its_replica_tells_the_store_its_text() -> None:
    """So the next holder of a lease knows it when the issuer gives it again."""
    bench = Workbench()
    bench.store.down = frozenset({"commit"})
    token = (await bench.get()).token
    bench.store.down = frozenset()
    assert await bench.broker.reject(KEY, token.generation)
    assert (await lease_of(bench.store)).rejected == token.access_token.fingerprint()
