"""Replicas remember a rejection that the store has lost, and whose number lies above all that the store gives out."""

from mintonce_server.core import events
from support.clocks import ManualClock
from support.samples import KEY, acquire_request, as_lease, lease_of, load_all, named
from support.troubled_store import ALL
from support.workbench import OPTIONS, Workbench

INTERVAL = OPTIONS.min_rotation_interval


async def remembering(bench: Workbench) -> int:
    """What this replica knows to be rejected. The store knows nothing any more."""
    bench.store.down = ALL
    bench.broker._fetcher._outage_minter._clock = ManualClock(bench.clock.monotonic(), bench.clock.unix() + 7200.0)
    alone = (await bench.get()).token
    bench.store.down = frozenset()
    assert await bench.broker.reject(KEY, alone.generation)
    bench.store.lose(KEY)
    entry = bench.entry()
    assert entry
    return entry.rejected_through


async def test_within_the_interval_of_a_rejection_the_store_s_token_stays() -> None:
    """A fall costs a mint: no more of them than of rejections. Later the barrier is raised all the same."""
    bench = Workbench()
    rejected_through, newcomer = await remembering(bench), bench.replica()
    await newcomer.broker.reject(KEY, (await newcomer.get()).token.generation)
    token = (await newcomer.get()).token
    assert token.generation < rejected_through
    mints = bench.issuer.mints
    for _ in range(3):
        await bench.catch_up()
        assert named(*await load_all(bench.store, [KEY])) == named(token)
    bench.clock.advance(INTERVAL)
    await bench.catch_up()
    assert await load_all(bench.store, [KEY]) == [None]
    assert [event.generation for event in bench.events(events.BarrierRaised)] == [rejected_through]
    assert bench.issuer.mints == mints


async def test_the_store_learns_which_token_was_rejected() -> None:
    """So a replica that never had it notices an issuer that gives it again."""
    bench = Workbench()
    bench.issuer.text = "always-this"
    await remembering(bench)
    newcomer = bench.replica()
    assert not (await newcomer.get()).degraded
    await bench.catch_up()
    await newcomer.catch_up()
    assert (await newcomer.get()).degraded


async def test_the_next_number_is_one_that_every_replica_takes() -> None:
    """Above the barrier, whichever replica mints."""
    bench = Workbench()
    rejected_through, newcomer = await remembering(bench), bench.replica()
    await newcomer.get()
    await bench.catch_up()
    assert (await lease_of(bench.store)).generation > rejected_through


async def test_without_a_token_in_the_store_nothing_is_raised() -> None:
    """A question of the store's is enough when there is something to compare."""
    bench = Workbench()
    rejected_through = await remembering(bench)
    await bench.catch_up()
    assert not bench.events(events.BarrierRaised)
    assert as_lease(await bench.store.acquire(KEY, acquire_request())).generation < rejected_through
