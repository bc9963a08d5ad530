"""Unasked, memory is compared with the store: what is in use, in small questions, whatever outages come between."""

from dataclasses import replace
from functools import partial

from mintonce_server.core import events
from mintonce_server.core.key import TokenKey
from mintonce_server.core.reconcile import AT_ONCE
from support.options import BROKER_OPTIONS
from support.samples import KEY
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import Workbench, a_moment

QUICK = replace(BROKER_OPTIONS, revalidate_within=0.05)


def keys(count: int) -> list[TokenKey]:
    return [TokenKey.of(KEY.client, f"https://api-{n}.example.com/") for n in range(count)]


def asked_more_often_than(bench: Workbench, seen: int) -> bool:
    return len(bench.store.asked) > seen


async def holding(bench: Workbench, count: int) -> list[TokenKey]:
    """So many keys, each asked for a little later than the one before."""
    wanted = keys(count)
    for key in wanted:
        await bench.get(key)
        bench.clock.advance(0.001)
    return wanted


async def test_a_key_in_use_never_waits_for_the_store() -> None:
    """There are two checks within the bound: a caller always finds a fresh answer."""
    bench = Workbench(options=QUICK)
    await bench.get()
    async with bench.upkeep():
        for _ in range(5):
            seen = len(bench.store.asked)
            bench.clock.advance(QUICK.revalidate_within * 0.6)
            assert bench.broker.peek(KEY)
            await wait_until(partial(asked_more_often_than, bench, seen))
    assert bench.issuer.mints == 1


async def test_only_keys_in_use_are_asked_about() -> None:
    """A hundred thousand keys without callers cost nothing."""
    bench = Workbench(options=QUICK)
    used, unused = await holding(bench, 2)
    async with bench.upkeep():
        await wait_until(lambda: bench.store.asked)  # the GAP at the start asks for all
        bench.clock.advance(0.01)
        assert bench.broker.peek(used)
        bench.clock.advance(0.04)
        await wait_until(lambda: len(bench.store.asked) >= 2)
    assert bench.store.asked[1] == [used]
    assert set(bench.store.asked[0]) == {used, unused}


async def test_a_watched_key_is_checked_without_callers() -> None:
    """Its watch is owed the truth."""
    bench = Workbench(options=QUICK)
    watch = bench.broker.watch(KEY, 5.0)
    await anext(watch)
    async with bench.upkeep():
        await wait_until(lambda: bench.store.asked)
        bench.clock.advance(0.06)
        await wait_until(lambda: len(bench.store.asked) >= 2)
    await watch.aclose()
    assert bench.store.asked[1] == [KEY]


async def test_many_keys_are_asked_about_in_small_questions() -> None:
    """A long pipeline would keep callers waiting, and might miss the store's short deadline."""
    bench = Workbench()
    wanted = [TokenKey.of(KEY.client, KEY.audience, [f"scope-{n}"]) for n in range(2 * AT_ONCE + 50)]
    for key in wanted:
        await bench.get(key)
    await bench.catch_up()
    assert [len(asked) for asked in bench.store.asked] == [200, 200, 50]
    assert {key for asked in bench.store.asked for key in asked} == set(wanted)


async def test_what_callers_asked_for_last_comes_first() -> None:
    """It is likeliest to be asked for next."""
    bench = Workbench()
    wanted = await holding(bench, 5)
    await bench.catch_up()
    assert bench.store.asked == [wanted[::-1]]


async def test_what_an_outage_interrupts_is_done_after() -> None:
    """All that was suspect stays so, and no more than one question goes unanswered."""
    bench = Workbench()
    wanted = await holding(bench, AT_ONCE + 1)
    bench.store.after["generations"] = lambda: setattr(bench.store, "down", ALL)
    await bench.catch_up()
    assert [len(asked) for asked in bench.store.asked] == [AT_ONCE, 1]
    assert [event.minting for event in bench.events(events.StoreFailed)] == [False]
    bench.store.down = frozenset()
    await bench.broker._reconciler._ask()
    assert bench.store.asked[2] == [wanted[0]]
    await bench.broker._reconciler._ask()
    assert len(bench.store.asked) == 3


async def test_an_outage_is_not_asked_about_in_a_loop() -> None:
    """What is left waits for the next time: a dead store is left in peace meanwhile."""
    bench = Workbench()  # its next time is seconds away
    await bench.get()
    bench.store.down = ALL
    async with bench.upkeep():
        await wait_until(lambda: bench.events(events.StoreFailed))
        await a_moment()
        assert len(bench.store.asked) == 1


async def test_one_round_trip_if_nothing_is_amiss() -> None:
    """The cheapest question there is, and no token goes over the wire."""
    bench = Workbench()
    await holding(bench, 50)
    bench.store.calls.clear()
    await bench.catch_up()
    assert bench.store.calls == {"generations": 1}


async def test_a_record_of_older_credentials_does_not_come_into_memory() -> None:
    """A replica that still has the old secret may have filled an emptied store."""
    bench = Workbench(credential_version=2)
    behind = bench.replica(credential_version=1)
    old = (await behind.get()).token
    bench.broker._cache.entry(KEY)
    await bench.catch_up()
    assert bench.broker.peek(KEY) is None
    assert (await bench.get()).token.generation > old.generation
