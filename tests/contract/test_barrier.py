"""A rejection that the store has lost is restored from a replica's memory, once for the whole fleet."""

from mintonce_server.common.clock import Clock
from mintonce_server.core.ports import Hit, Lease, Refusal, TokenStore
from mintonce_server.core.token import Token
from support.samples import KEY, acquire_request, as_lease, lease_of, minted, shared

PRINT = "0123456789abcdef0123456789abcdef"


async def test_the_next_generation_lies_above_the_barrier(store: TokenStore) -> None:
    """Then no replica that remembers the rejection treats the new token as an old one."""
    rejected = (await lease_of(store)).generation + 600_000_000
    assert await store.raise_barrier(KEY, rejected, PRINT, 30.0)
    lease = as_lease(await store.acquire(KEY, acquire_request()))
    assert lease.generation > rejected
    assert lease.rejected == PRINT


async def test_a_record_below_the_barrier_falls(store: TokenStore, clock: Clock) -> None:
    """It is the rejected token, back from before a failover, or a new one that such replicas would refuse."""
    token = await shared(store, clock)
    assert await store.raise_barrier(KEY, token.generation, PRINT, 30.0)
    assert await store.load([KEY]) == [None]
    assert await store.restore(token) is Refusal.REJECTED


async def test_saying_it_again_does_not_touch_what_came_after(store: TokenStore, clock: Clock) -> None:
    """Every replica of the fleet may remember the same rejection."""
    old = await shared(store, clock)
    await store.raise_barrier(KEY, old.generation + 1_000_000, PRINT, 0.0)
    newer = await shared(store, clock)
    assert await store.raise_barrier(KEY, old.generation + 1_000_000, PRINT, 0.0)
    assert isinstance(await store.acquire(KEY, acquire_request(newer_than=newer.generation - 1)), Hit)


async def test_a_record_does_not_fall_more_often_than_by_rejections(store: TokenStore, clock: Clock) -> None:
    """Dropping a record costs a mint, whatever the reason."""
    await store.reject(KEY, (await shared(store, clock)).generation, 30.0)
    token = await shared(store, clock)
    assert not await store.raise_barrier(KEY, token.generation + 1_000_000, PRINT, 30.0)
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)


async def test_without_a_record_it_costs_nothing_and_delays_no_rejection(store: TokenStore, clock: Clock) -> None:
    """Only a dropped record counts as a rejection."""
    generation = (await lease_of(store)).generation
    assert await store.raise_barrier(KEY, generation, PRINT, 30.0)
    token = await shared(store, clock)
    assert (await store.reject(KEY, token.generation, 30.0)).retry_after is None


async def test_without_a_record_it_does_not_wait(store: TokenStore, clock: Clock) -> None:
    """There was a rejection a moment ago; no record is dropped now, and the next generation must be above."""
    token = await shared(store, clock)
    await store.reject(KEY, token.generation, 30.0)
    assert await store.raise_barrier(KEY, token.generation + 1_000_000, PRINT, 30.0)
    assert (await lease_of(store)).generation > token.generation + 1_000_000


async def test_a_record_above_the_barrier_stays(store: TokenStore, clock: Clock) -> None:
    """It is the successor of the rejected token."""
    token = await shared(store, clock)
    assert await store.raise_barrier(KEY, token.generation - 1, PRINT, 30.0)
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)
    assert (await store.reject(KEY, token.generation, 30.0)).retry_after is None


async def test_a_mint_in_flight_below_the_barrier_does_not_count(store: TokenStore, clock: Clock) -> None:
    """Its lease is gone, so that the next mint can begin at once."""
    lease = await lease_of(store)
    await store.raise_barrier(KEY, lease.generation, PRINT, 30.0)
    assert isinstance(await store.acquire(KEY, acquire_request()), Lease)
    assert await store.commit(lease, minted(clock)) is Refusal.REJECTED


async def test_a_mint_in_flight_above_the_barrier_keeps_its_lease(store: TokenStore, clock: Clock) -> None:
    """It began after the rejection, on a replica that knew of it."""
    lease = await lease_of(store)
    await store.raise_barrier(KEY, lease.generation - 1, PRINT, 30.0)
    assert isinstance(await store.commit(lease, minted(clock)), Token)


async def test_a_barrier_below_it_is_not_the_end_of_its_lease(store: TokenStore) -> None:
    """No other caller may mint meanwhile."""
    lease = await lease_of(store)
    await store.raise_barrier(KEY, lease.generation - 1, PRINT, 30.0)
    assert await store.renew(lease)
