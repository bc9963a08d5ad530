"""The trouble of a part of the store stays the trouble of that part: one shard of a Cluster is away."""

import pytest

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from support.samples import KEY, named
from support.workbench import OPTIONS, Workbench

DEAD = TokenKey.of(KEY.client, "https://on-the-dead-shard.example.com/")
BOUND = OPTIONS.revalidate_within


async def both(bench: Workbench) -> None:
    """A token for each key, and then the shard of one of them goes away."""
    await bench.get()
    await bench.get(DEAD)
    bench.store.dead_shard = frozenset({DEAD})


async def test_keys_elsewhere_are_confirmed_and_not_degraded() -> None:
    """Also when both are asked about in one question."""
    bench = Workbench()
    await both(bench)
    for _ in range(5):
        bench.clock.advance(BOUND / 2)
        await bench.catch_up()
        served = bench.broker.peek(KEY)
        assert served is not None
        assert not served.degraded


async def test_keys_of_the_dead_part_are_served_degraded() -> None:
    """From memory, as in any outage of the store."""
    bench = Workbench()
    await both(bench)
    bench.clock.advance(BOUND + 0.1)
    assert (await bench.get(DEAD)).degraded
    assert not (await bench.get()).degraded


async def test_they_are_served_without_asking_the_store_each_time() -> None:
    """The last round has asked in vain: a caller does not wait for another deadline."""
    bench = Workbench()
    await both(bench)
    bench.clock.advance(BOUND + 0.1)
    await bench.catch_up()
    served = bench.broker.peek(DEAD)
    assert served is not None
    assert served.degraded


async def test_a_call_for_a_dead_key_makes_no_other_key_degraded() -> None:
    """Its outage is its own."""
    bench = Workbench()
    await both(bench)
    cold = TokenKey.of(KEY.client, "https://cold.example.com/")
    bench.store.dead_shard |= {cold}
    await bench.get(cold)
    bench.clock.advance(BOUND + 0.1)
    assert not (await bench.get()).degraded


async def test_a_rejection_elsewhere_is_heard_of_within_the_bound() -> None:
    """No wake message came, and the question that says so names dead keys, too."""
    bench = Workbench()
    await both(bench)
    bench.store.silent = True
    token = (await bench.get()).token
    await bench.store.reject(KEY, token.generation, 30.0)
    bench.clock.advance(BOUND / 2)
    await bench.catch_up()
    assert bench.broker.peek(KEY) is None
    assert (await bench.get()).token.generation > token.generation


async def test_when_the_part_is_back_its_keys_are_confirmed() -> None:
    """By the next round."""
    bench = Workbench()
    await both(bench)
    bench.clock.advance(BOUND + 0.1)
    await bench.catch_up()
    bench.store.dead_shard = frozenset()
    await bench.catch_up()
    served = bench.broker.peek(DEAD)
    assert served is not None
    assert not served.degraded


async def test_a_rejection_of_a_dead_key_fails_and_that_of_another_works() -> None:
    """The store must take part in each."""
    bench = Workbench()
    await both(bench)
    dead, live = (await bench.get(DEAD)).token, (await bench.get()).token
    with pytest.raises(StoreUnavailable):
        await bench.broker.reject(DEAD, dead.generation)
    assert named((await bench.get(DEAD)).token) == named(dead)
    assert await bench.broker.reject(KEY, live.generation)
