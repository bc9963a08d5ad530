"""A token is rejected under each number that it had: in an outage, while it gets a number, after a failover."""

import asyncio

import pytest

from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.token import Token
from support.samples import KEY, lease_of, load_all, minted, named
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import Workbench


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
    bench.store.silent = True
    (current,) = await load_all(bench.store, [KEY])
    assert current
    newer = await bench.store.commit(
        await lease_of(bench.store, newer_than=current.generation), minted(bench.clock, lifetime=3600.0)
    )
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
    """The token gets its number a moment later, and falls by it."""
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
    await bench.broker.reject(KEY, alone.generation)
    go_on.set()
    await adopting
    assert await bench.store.load([KEY]) == [None]
    assert bench.broker.peek(KEY) is None


@pytest.mark.parametrize("ahead", [1, 2**53, 2**62])
async def test_a_generation_that_never_was_is_refused_and_remembered_nowhere(ahead: int) -> None:
    """Neither in the store nor here: the token is served on, and its successor has the number that it would have."""
    bench = Workbench()
    token = (await bench.get()).token
    with pytest.raises(InvalidRequest):
        await bench.broker.reject(KEY, token.generation + ahead)
    entry = bench.entry()
    assert entry
    assert entry.barred == 0
    assert bench.broker.peek(KEY)
    assert (await lease_of(bench.store, newer_than=token.generation)).generation < token.generation + 60_000
