"""The memory store with a clock that the test controls: to the limit of every time."""

from contextlib import aclosing

import pytest

from mintonce_server.core.errors import Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Backoff, Failure, Hit, Lease, Wait, WakeKind
from mintonce_server.core.token import Token
from mintonce_server.store import MemoryStore
from mintonce_server.store.memory import QUEUED_MAX
from mintonce_server.store.memory_server import BRIEF_MS, MemoryServer
from support.clocks import ManualClock
from support.options import LEASE_SECONDS
from support.samples import HASHER, KEY, OTHER, acquire_request, any_token, lease_of, minted, shared


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(HASHER, clock, LEASE_SECONDS)


async def test_a_lease_holds_to_its_end_and_no_longer(store: MemoryStore, clock: ManualClock) -> None:
    """Three seconds by default."""
    await lease_of(store)
    clock.advance(2.999)
    assert isinstance(await store.acquire(KEY, acquire_request()), Wait)
    clock.advance(0.001)
    assert isinstance(await store.acquire(KEY, acquire_request()), Lease)


async def test_a_token_is_served_up_to_its_expiry_margin(store: MemoryStore, clock: ManualClock) -> None:
    """A lifetime of 100 s, a margin of 5 s."""
    await shared(store, clock)
    clock.advance(94.9)
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)
    clock.advance(0.1)
    assert isinstance(await store.acquire(KEY, acquire_request()), Lease)


async def test_a_token_is_there_up_to_its_expiry(store: MemoryStore, clock: ManualClock) -> None:
    """A caller with nothing better may still use it."""
    await shared(store, clock)
    clock.advance(99.9)
    assert (await store.load([KEY]))[0] is not None
    clock.advance(0.1)
    assert await store.load([KEY]) == [None]
    assert (await store.list("", 10, any_token)).tokens == []


async def test_a_backoff_ends_on_time(store: MemoryStore, clock: ManualClock) -> None:
    """And not before."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_UNAVAILABLE), 10.0)
    clock.advance(9.9)
    assert isinstance(await store.acquire(KEY, acquire_request()), Backoff)
    clock.advance(0.1)
    assert isinstance(await store.acquire(KEY, acquire_request()), Lease)


async def test_the_interval_between_rejections_ends_on_time(store: MemoryStore, clock: ManualClock) -> None:
    """30 s later the next one counts."""
    await store.reject(KEY, (await shared(store, clock)).generation, 30.0)
    token = await shared(store, clock)
    clock.advance(29.0)
    assert (await store.reject(KEY, token.generation, 30.0)).retry_after == 1.0
    clock.advance(1.0)
    assert (await store.reject(KEY, token.generation, 30.0)).retry_after is None


async def test_generations_rise_when_the_clock_goes_back(clock: ManualClock) -> None:
    """The known history decides."""
    hosts = ManualClock()
    store = MemoryStore(HASHER, clock, LEASE_SECONDS, server=MemoryServer(hosts))
    first = await shared(store, clock)
    hosts.advance(-86_400.0)
    assert (await lease_of(store, newer_than=first.generation)).generation == first.generation + 1


async def test_a_key_is_forgotten_an_hour_after_its_last_token(store: MemoryStore, clock: ManualClock) -> None:
    """Expired keys do not fill the store."""
    token = await store.commit(await lease_of(store, OTHER), minted(clock, lifetime=1000.0))
    assert isinstance(token, Token)
    await store.reject(OTHER, token.generation, 30.0)
    clock.advance(1000.0 + BRIEF_MS / 1000 - 10.0)
    await lease_of(store, KEY)
    assert HASHER(OTHER) in store.server.entries
    clock.advance(10.0)
    await lease_of(store, TokenKey.of("billing", "https://third.example.com/"))
    assert HASHER(OTHER) not in store.server.entries


async def test_a_listener_that_is_too_slow_gets_a_gap(store: MemoryStore, clock: ManualClock) -> None:
    """Its queue has a limit: it gets a GAP instead."""
    async with aclosing(store.wakes()) as wakes:
        await anext(wakes)
        for _ in range(QUEUED_MAX + 1):
            await store.fail(await lease_of(store), Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
        assert (await anext(wakes)).kind is WakeKind.GAP


async def test_a_listener_that_left_is_forgotten(store: MemoryStore) -> None:
    """Closed or cancelled."""
    async with aclosing(store.wakes()) as wakes:
        await anext(wakes)
    assert not store.server.listeners


async def test_a_back_off_that_the_clock_was_set_back_under_does_not_count(
    store: MemoryStore, clock: ManualClock
) -> None:
    """Issuers ask for five minutes at most, so the key is not blocked for the hour that the clock went back."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_UNAVAILABLE), 10.0)
    clock.step(-3600.0)
    assert isinstance(await store.acquire(KEY, acquire_request()), Lease)


async def test_a_rejection_in_the_future_puts_off_no_other(store: MemoryStore, clock: ManualClock) -> None:
    """After the clock was set back, a token can still be rejected."""
    await store.reject(KEY, (await shared(store, clock)).generation, 30.0)
    clock.step(-3600.0)
    assert (await store.reject(KEY, (await shared(store, clock)).generation, 30.0)).was_current
