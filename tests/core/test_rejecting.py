"""A rejection names something that existed, counts once for the fleet, and bars what was rejected."""

import asyncio
from contextlib import aclosing

import pytest

from mintonce_server.core import events
from mintonce_server.core.errors import InvalidRequest, RotationTooSoon, StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from support.clocks import ManualClock
from support.samples import KEY, named
from support.troubled_store import ALL
from support.workbench import OPTIONS, Workbench, a_moment

INTERVAL = OPTIONS.min_rotation_interval


@pytest.mark.parametrize("ahead", [1, 30_001, 2**53, 2**62, 2**63 - 1])
async def test_a_generation_that_never_was_changes_nothing_anywhere(ahead: int) -> None:
    """It is an invalid request. Every replica goes on serving, watches stay silent, nothing is minted."""
    bench = Workbench()
    other = bench.replica()
    token = (await bench.get()).token
    async with aclosing(other.broker.watch(KEY, 5.0)) as watch:
        await anext(watch)
        coming = asyncio.ensure_future(anext(watch))
        generation = ahead if ahead > token.generation else token.generation + ahead
        for replica in (bench, other):
            with pytest.raises(InvalidRequest, match="no such generation"):
                await replica.broker.reject(KEY, generation)
            assert named((await replica.get()).token) == named(token)
            await replica.catch_up()
        await a_moment()
        assert not coming.done()
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
    assert bench.issuer.mints == 1
    assert [entry and entry.rejected_through for entry in (bench.entry(), other.entry())] == [0, 0]


async def test_a_message_with_such_a_generation_changes_nothing_either() -> None:
    """A hint makes the replica ask, and the store knows of no rejection."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.broker._reconciler.notice(Wake(WakeKind.REJECT, token.key_hash, 2**62))
    await bench.broker._reconciler._ask()
    assert named((await bench.get()).token) == named(token)
    assert bench.issuer.mints == 1


async def test_rejections_cost_one_mint_in_an_interval_for_the_whole_fleet() -> None:
    """Each replica's callers reject whatever they are given, again and again."""
    bench = Workbench()
    replicas = [bench, bench.replica(), bench.replica()]
    for second in range(int(3 * INTERVAL)):
        for replica in replicas:
            token = (await replica.get()).token
            await asyncio.gather(replica.broker.reject(KEY, token.generation), return_exceptions=True)
        bench.clock.advance(1.0)
        assert bench.issuer.mints <= 2 + second // INTERVAL


async def test_an_emptied_store_does_not_lift_the_limit() -> None:
    """Replicas remember when they learned of the last rejection."""
    bench = Workbench()
    await bench.broker.reject(KEY, (await bench.get()).token.generation)
    token = (await bench.get()).token
    bench.store.lose(KEY)
    with pytest.raises(RotationTooSoon) as caught:
        await bench.broker.reject(KEY, token.generation)
    assert caught.value.retry_after == pytest.approx(INTERVAL, abs=0.1)
    assert named((await bench.get()).token) == named(token)
    assert bench.issuer.mints == 2


async def test_what_was_over_anyway_does_not_count_as_a_rejection() -> None:
    """A caller rejects a token that has just ended; the next honest rejection is not held up by that."""
    bench = Workbench()
    bench.issuer.lifetime = 10.0
    over = (await bench.get()).token
    bench.clock.advance(10.0)
    assert not await bench.broker.reject(KEY, over.generation)
    token = (await bench.get()).token
    assert await bench.broker.reject(KEY, token.generation)


async def test_a_rejection_that_is_said_again_puts_off_no_other() -> None:
    """A caller that goes on rejecting an old token must not keep others from rejecting the new one."""
    bench = Workbench()
    old = (await bench.replica().get()).token
    assert await bench.broker.reject(KEY, old.generation)
    bench.clock.advance(31.0)
    token = (await bench.get()).token
    assert await bench.broker.reject(KEY, old.generation)
    assert await bench.broker.reject(KEY, token.generation)


async def test_a_token_that_an_emptied_store_does_not_know_is_rejected_all_the_same() -> None:
    """The replica that serves it gives it back first. So the fleet learns of the rejection."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.lose(KEY)
    assert await bench.broker.reject(KEY, token.generation)
    assert (await bench.replica().get()).token.generation > token.generation
    assert bench.issuer.mints == 2


async def test_a_generation_that_this_replica_saw_rejected_is_no_error_after_the_store_was_emptied() -> None:
    """The caller repeats itself: nothing is current any more, and nothing happens."""
    bench = Workbench()
    token = (await bench.get()).token
    await bench.broker.reject(KEY, token.generation)
    bench.store.lose(KEY)
    assert not await bench.broker.reject(KEY, token.generation)


async def test_the_token_that_was_minted_alone_is_rejected_by_its_provisional_number() -> None:
    """The store was away for a while; with it back, the caller's 401 costs one mint for the fleet."""
    bench = Workbench()
    others = [bench.replica(), bench.replica()]
    bench.store.down = ALL
    alone = (await bench.get()).token
    assert alone.provisional
    bench.store.down = frozenset()
    assert await bench.broker.reject(KEY, alone.generation, "key:orders")
    answers = [(await replica.get()).token for replica in (bench, *others)]
    assert len({named(token) for token in answers}) == 1
    assert answers[0].generation > alone.generation
    assert bench.issuer.mints == 2


async def test_rejecting_a_token_minted_alone_costs_nothing_where_the_fleet_has_another() -> None:
    """Only one replica's link was away. With it back, that replica serves the fleet's token, and nothing is minted."""
    bench = Workbench()
    others = [bench.replica(), bench.replica()]
    shared_token = (await others[0].get()).token
    bench.store.down = ALL
    alone = (await bench.get()).token
    bench.store.down = frozenset()
    assert not await bench.broker.reject(KEY, alone.generation, "key:orders")
    for replica in (bench, *others):
        assert named((await replica.get()).token) == named(shared_token)
    assert alone.generation < shared_token.generation
    assert bench.issuer.mints == 2


async def test_a_provisional_number_can_be_rejected_at_a_replica_that_never_gave_it() -> None:
    """Once the token has been adopted, the store knows the number."""
    bench = Workbench()
    other = bench.replica()
    bench.store.down = ALL
    alone = (await bench.get()).token
    bench.store.down = frozenset()
    await bench.catch_up()
    await other.get()
    assert await other.broker.reject(KEY, alone.generation)
    await bench.catch_up()
    assert (await bench.get()).token.generation > alone.generation
    assert bench.issuer.mints == 2


async def test_a_neighbours_token_from_the_outage_is_not_barred_by_a_rejection() -> None:
    """It is another token: when its replica is back, the fleet may use it."""
    bench = Workbench()
    other = bench.replica()
    first = (await other.get()).token
    bench.store.down = ALL
    alone = (await bench.get()).token
    bench.store.down = frozenset()
    await other.broker.reject(KEY, first.generation)
    await bench.catch_up()
    served = (await bench.get()).token
    assert served.access_token == alone.access_token
    assert named((await other.get()).token) == named(served)
    assert bench.issuer.mints == 2


@pytest.mark.parametrize("ahead", [20.0, 600.0])
async def test_a_lost_barrier_costs_one_mint_however_many_replicas_know_it(ahead: float) -> None:
    """The store was emptied, and its numbers are lower than the rejected one; no other token is rejected."""
    bench = Workbench()
    replicas = [bench, bench.replica(), bench.replica()]
    bench.store.down = ALL
    bench.broker._fetcher._outage_minter._clock = ManualClock(bench.clock.monotonic(), bench.clock.unix() + ahead)
    alone = (await bench.get()).token
    bench.store.down = frozenset()
    assert await bench.broker.reject(KEY, alone.generation)
    for replica in replicas:
        await replica.get()
    mints = bench.issuer.mints
    bench.store.lose(KEY)
    newcomer = bench.replica()
    await newcomer.get()
    for _ in range(20):
        for replica in (*replicas, newcomer):
            await replica.catch_up()
            await replica.get()
        bench.clock.advance(0.2)
    assert bench.issuer.mints <= mints + 1
    assert len({named((await replica.get()).token) for replica in (*replicas, newcomer)}) == 1


async def test_the_barrier_is_reported_once() -> None:
    """By the first replica that notices."""
    bench = Workbench()
    other = bench.replica()
    token = (await bench.get()).token
    await other.get()
    behind = bench.store.copy(KEY)
    await bench.broker.reject(KEY, token.generation)
    await other.catch_up()
    bench.store.fail_over(KEY, behind)
    await bench.catch_up()
    await other.catch_up()
    assert len([*bench.events(events.BarrierRaised), *other.events(events.BarrierRaised)]) == 1


async def test_a_rejection_in_an_outage_fails_and_takes_nothing_away() -> None:
    """What the store has not confirmed does not count: the token is served on."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.down = ALL
    with pytest.raises(StoreUnavailable):
        await bench.broker.reject(KEY, token.generation)
    assert named((await bench.get()).token) == named(token)


async def test_a_token_that_the_fleet_has_replaced_is_not_served_after_its_rejection() -> None:
    """This replica had not heard of the successor."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.store.silent = True
    await bench.replica().broker.rotate(KEY, 5.0)
    assert not await bench.broker.reject(KEY, old.generation)
    assert (await bench.get()).token.generation > old.generation


async def test_a_message_about_an_older_rejection_causes_no_question() -> None:
    """Who can only repeat old messages does not make replicas ask the store."""
    bench = Workbench()
    old = (await bench.get()).token
    await bench.broker.reject(KEY, old.generation)
    new = (await bench.get()).token
    asked = bench.store.calls["generations"]
    bench.broker._reconciler.notice(Wake(WakeKind.REJECT, old.key_hash, old.generation))
    served = bench.broker.peek(KEY)
    assert served is not None
    assert named(served.token) == named(new)
    await bench.broker._reconciler._ask()
    assert bench.store.calls["generations"] == asked


async def test_the_cause_of_a_mint_is_a_rejection_at_whatever_replica_that_was() -> None:
    """The one that mints held the token, and hears of the rejection only now."""
    bench = Workbench()
    other = bench.replica()
    token = (await bench.get()).token
    await other.get()
    assert await bench.broker.reject(KEY, token.generation)
    other.broker._reconciler.notice(Wake(WakeKind.REJECT, token.key_hash, token.generation))
    await other.get()
    assert [event.cause for event in other.events(events.Minted)] == [events.Cause.REJECTED]
