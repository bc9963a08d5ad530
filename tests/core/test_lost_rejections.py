"""The store lost its data, a rejection among them, and numbers from its clock again: below what was rejected."""

import asyncio
from collections.abc import Sequence

import pytest

from mintonce_server.core import events
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Token
from support.samples import KEY, named
from support.troubled_store import ALL
from support.workbench import Workbench, a_moment

AHEAD = pytest.mark.parametrize("ahead", [20.0, 86_400.0])
"""Seconds by which the rejected token's number is ahead of the store's clock: the clock of a replica's host was."""


async def minted_ahead(bench: Workbench, ahead: float) -> Token:
    """A token that this replica minted alone."""
    number = int((bench.clock.unix() + ahead) * 1_000_000)
    bench.broker._fetcher._outage_minter._generation = lambda entry: number  # type: ignore[method-assign] # it depends on chance
    bench.store.down = ALL
    alone = (await bench.get()).token
    bench.store.down = frozenset()
    return alone


async def rejected_ahead(bench: Workbench, ahead: float) -> Token:
    """Such a token, whose rejection the store has lost."""
    alone = await minted_ahead(bench, ahead)
    assert await bench.broker.reject(KEY, alone.generation)
    bench.store.lose(KEY)
    bench.clock.advance(1.0)
    return alone


@AHEAD
@pytest.mark.parametrize("asked_first", [False, True])
async def test_a_successor_with_a_low_number_is_numbered_again_and_not_minted_again(
    ahead: float, asked_first: bool
) -> None:
    """Whether the replica that remembers the rejection hears of it, or a caller asks it first."""
    bench = Workbench()
    alone = await rejected_ahead(bench, ahead)
    newcomer = bench.replica()
    low = (await newcomer.get()).token
    assert low.generation < alone.generation
    if not asked_first:
        await bench.catch_up()
    served = (await bench.get()).token
    await newcomer.catch_up()
    assert named(served) == named((await newcomer.get()).token)
    assert (served.access_token, served.served_as) == (low.access_token, low.generation)
    assert served.generation > alone.generation
    assert bench.issuer.mints == 2


@AHEAD
async def test_it_can_be_rejected_by_either_number(ahead: float) -> None:
    """Callers were given both."""
    bench = Workbench()
    await rejected_ahead(bench, ahead)
    newcomer = bench.replica()
    low = (await newcomer.get()).token
    await bench.catch_up()
    assert await newcomer.broker.reject(KEY, low.generation)
    assert (await newcomer.get()).token.access_token != low.access_token


@AHEAD
async def test_replicas_that_remember_it_agree(ahead: float) -> None:
    """One of them numbers the successor; the number then stays."""
    bench = Workbench()
    other = bench.replica()
    alone = await minted_ahead(bench, ahead)
    await bench.catch_up()
    await other.get()
    await bench.broker.reject(KEY, alone.generation)
    await other.catch_up()
    bench.store.lose(KEY)
    bench.clock.advance(1.0)
    newcomer = bench.replica()
    await newcomer.get()
    for _ in range(3):
        await asyncio.gather(bench.catch_up(), other.catch_up())
    tokens = [(await replica.get()).token for replica in (bench, other, newcomer)]
    await newcomer.catch_up()
    assert len({token.access_token.reveal() for token in tokens}) == 1
    assert named(tokens[0]) == named(tokens[1]) == named((await newcomer.get()).token)
    assert bench.issuer.mints == 2


async def test_two_looks_at_once_give_the_successor_one_number() -> None:
    """A caller's and the upkeep's: the second one finds it numbered."""
    bench = Workbench()
    await rejected_ahead(bench, 20.0)
    await bench.replica().get()
    entry = bench.entry()
    assert entry
    behind, load = asyncio.Event(), bench.store.load

    async def slowly(keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        tokens = await load(keys)
        bench.store.load = load  # type: ignore[method-assign] # only the first one is slow
        await behind.wait()
        return tokens

    bench.store.load = slowly  # type: ignore[method-assign] # the wire is slow
    first = asyncio.create_task(bench.broker._reconciler.confirm([entry]))
    await a_moment()
    await bench.broker._reconciler.confirm([entry])
    numbered = entry.token
    behind.set()
    await first
    assert numbered is not None
    assert named(entry.token) == named(numbered)


async def test_the_rejected_number_is_no_successor_however_young_it_seems() -> None:
    """The store's clock was set back, so its token seems to be minted later than it was."""
    bench = Workbench()
    watcher = bench.replica()
    old = (await bench.get()).token
    behind = bench.store.copy(KEY)
    assert await watcher.broker.reject(KEY, old.generation)
    entry = watcher.entry()
    assert entry
    entry.rejected_through_at = old.minted_at - 1.0
    bench.store.fail_over(KEY, behind)
    await watcher.catch_up()
    assert not watcher.events(events.Adopted)
    assert (await watcher.get()).token.access_token != old.access_token


async def test_a_token_that_its_issuer_stands_by_is_a_successor() -> None:
    """It was minted alone here, rejected elsewhere, and given out again under a lower number than the one here."""
    bench = Workbench()
    bench.issuer.text = "the same text"
    other = bench.replica()
    await minted_ahead(bench, 20.0)
    first = (await other.get()).token
    assert await other.broker.reject(KEY, first.generation)
    again = (await other.get()).token
    assert again.reissued
    for _ in range(2):
        await bench.catch_up()
    assert not bench.events(events.BarrierRaised)
    await other.catch_up()
    assert named((await bench.get()).token) == named((await other.get()).token)
    assert bench.issuer.mints == 3


async def test_what_this_replica_holds_takes_the_place_of_what_was_rejected() -> None:
    """A failover brought the rejected token back. Its successor is here, and paid for: nothing is minted."""
    bench = Workbench()
    old = (await bench.get()).token
    behind = bench.store.copy(KEY)
    await bench.broker.reject(KEY, old.generation)
    successor = (await bench.get()).token
    bench.store.fail_over(KEY, behind)
    await bench.catch_up()
    assert [event.generation for event in bench.events(events.BarrierRaised)] == [old.generation]
    assert (await bench.replica().get()).token.access_token == successor.access_token
    assert bench.issuer.mints == 2


async def test_the_rejected_text_is_never_numbered_again() -> None:
    """The store's clock may be wrong after a failover: then its age alone would not tell."""
    bench = Workbench()
    old = (await bench.get()).token
    behind = bench.store.copy(KEY)
    await bench.broker.reject(KEY, old.generation)
    entry = bench.entry()
    assert entry
    entry.rejected_at = old.minted_at - 1.0
    bench.store.fail_over(KEY, behind)
    await bench.catch_up()
    assert not bench.events(events.Adopted)
    assert (await bench.replica().get()).token.access_token != old.access_token


async def test_an_older_token_than_the_rejected_one_falls() -> None:
    """A replica that knows of the rejection and never held the token cannot tell them apart by their texts."""
    bench = Workbench()
    watcher = bench.replica()
    old = (await bench.get()).token
    behind = bench.store.copy(KEY)
    bench.clock.advance(1.0)
    assert await watcher.broker.reject(KEY, old.generation)
    bench.store.fail_over(KEY, behind)
    await watcher.catch_up()
    assert not watcher.events(events.Adopted)
    assert [event.generation for event in watcher.events(events.BarrierRaised)] == [old.generation]


async def test_what_is_barred_here_is_not_taken_from_a_store_that_may_not_bar_it_yet() -> None:
    """After a failover the store has the rejected token again, and another rejection too fresh for one more."""
    bench = Workbench()
    token = (await bench.get()).token
    behind = bench.store.copy(KEY)
    await bench.broker.reject(KEY, token.generation)
    behind.meta.rejected_at = int(bench.clock.unix() * 1000)
    bench.store.fail_over(KEY, behind)
    assert (await bench.get()).token.generation > token.generation
    assert bench.issuer.mints == 2


async def test_what_is_rejected_by_its_text_where_it_is_not_held_is_remembered_by_it() -> None:
    """It is known by its text, so a copy that comes back after a loss is distinguished from a successor."""
    bench = Workbench()
    holder = bench.replica()
    token = (await holder.get()).token
    assert await bench.broker.reject(KEY, token.access_token.sha256())
    assert (entry := bench.entry()) is not None
    assert entry.rejected == token.access_token.fingerprint()


async def test_a_token_read_for_a_rejection_of_another_is_held() -> None:
    """It is the fleet's, so it serves this replica's callers while the store is away: no mint of its own."""
    bench = Workbench()
    token = (await bench.replica().get()).token
    assert not await bench.broker.reject(KEY, b"the sha of another token")
    bench.store.down = ALL
    assert named((await bench.get()).token) == named(token)
    assert bench.issuer.mints == 1
