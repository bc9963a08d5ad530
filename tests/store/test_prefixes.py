"""Two installations share one server, with the same keys: they do not affect each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest
import pytest_asyncio

from mintonce_server.common.clock import Clock
from mintonce_server.core.ports import Lease, Wake, WakeKind
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import Keyring, SealingKey
from mintonce_server.store.names import USUAL, Names
from mintonce_server.store.notifications import GAP
from mintonce_server.store.redis import Resealed
from support.options import redis_store
from support.samples import KEY, OTHER, acquire_request, any_token, as_lease, lease_of, load_all, minted, named, shared
from support.servers import Command, names

OLD, NEW = (SealingKey.of(bytes([number]) * 32) for number in (1, 2))
PREFIXES = ("mintonce", "mintonce:two")
"""The usual one, and one that begins with it."""


def store_of(url: str, clock: Clock, prefix: str, *keys: SealingKey) -> RedisStore:
    keyring = Keyring(b"index", keys or (OLD,))
    return redis_store(url, prefix=prefix, clock=clock, keyring=lambda: keyring, lease_seconds=60.0, deadline=5.0)


@dataclass
class Two:
    """A store of each installation."""

    one: RedisStore
    two: RedisStore


@pytest_asyncio.fixture(params=[PREFIXES, PREFIXES[::-1]], ids=" beside ".join)
async def installed(url: str, command: Command, clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    """It must not matter which of the two prefixes contains the other."""
    one, two = (store_of(url, clock, prefix) for prefix in request.param)
    yield Two(one, two)
    await one.close()
    await two.close()


async def test_each_mints_for_itself(installed: Two, clock: Clock) -> None:
    """The same key is a miss for the other, and a lease there does not block here."""
    token = await shared(installed.one, clock)
    assert await load_all(installed.two, [KEY]) == [None]
    assert await installed.two.generations([KEY]) == [0]
    lease = as_lease(await installed.two.acquire(KEY, acquire_request()))
    assert isinstance(await installed.one.acquire(OTHER, acquire_request()), Lease)
    assert isinstance(await installed.two.acquire(OTHER, acquire_request()), Lease)
    other = await installed.two.commit(lease, minted(clock, "of-the-other"))
    assert isinstance(other, Token)
    assert [named(found) for found in await load_all(installed.one, [KEY])] == [named(token)]
    assert [named(found) for found in await load_all(installed.two, [KEY])] == [named(other)]


async def test_a_list_has_only_what_is_ours(installed: Two, clock: Clock) -> None:
    """Even if the other's names begin with our prefix."""
    token = await shared(installed.one, clock)
    assert [named(found) for found in (await installed.one.list("", 10, any_token)).tokens] == [named(token)]
    assert (await installed.two.list("", 10, any_token)).tokens == []


async def test_a_rejection_drops_only_our_token(installed: Two, clock: Clock) -> None:
    """The other's token of the same key stays."""
    first, second = await shared(installed.one, clock), await shared(installed.two, clock)
    assert (await installed.one.reject(KEY, first.generation, 0.0)).was_current
    assert await load_all(installed.one, [KEY]) == [None]
    assert [named(found) for found in await load_all(installed.two, [KEY])] == [named(second)]


async def test_no_message_of_the_other_is_heard(installed: Two, clock: Clock) -> None:
    """Commits, failures and rejections there come first, and the first received message is our own."""
    async with aclosing(installed.two.wakes()) as wakes:
        assert await anext(wakes) == GAP
        token = await shared(installed.one, clock)
        await installed.one.reject(KEY, token.generation, 0.0)
        ours = await shared(installed.two, clock, OTHER)
        async with asyncio.timeout(5.0):
            assert await anext(wakes) == Wake(WakeKind.COMMIT, installed.two.key_hash(OTHER), ours.generation)


@pytest.mark.parametrize(("mine", "others"), [PREFIXES, PREFIXES[::-1]])
async def test_a_new_seal_goes_on_our_records_alone(
    url: str, command: Command, clock: Clock, mine: str, others: str
) -> None:
    """No field or TTL of the other's is changed, though we have its keys."""
    stores = [store_of(url, clock, mine, NEW, OLD), store_of(url, clock, others, OLD)]
    try:
        await shared(stores[1], clock)
        record = Names(others).record(stores[1].key_hash(KEY))
        before = await command("HGETALL", record), await command("PEXPIRETIME", record)
        assert await stores[0].reseal() == Resealed()
        await shared(store := store_of(url, clock, mine, OLD), clock)
        stores.append(store)
        assert await stores[0].reseal() == Resealed(resealed=1)
        assert (await command("HGETALL", record), await command("PEXPIRETIME", record)) == before
    finally:
        for store in stores:
            await store.close()


async def test_every_name_begins_with_the_prefix(url: str, command: Command, clock: Clock) -> None:
    """Record, lease and meta, in one slot of a Cluster; and the channel."""
    store = store_of(url, clock, "a.b_c-d:e")
    try:
        await shared(store, clock)
        await lease_of(store, OTHER)
        async with aclosing(store.wakes()) as wakes:
            await anext(wakes)
            assert await command("PUBSUB", "CHANNELS", "*wake") == [b"a.b_c-d:e:wake"]
        hashes = store.key_hash(KEY), store.key_hash(OTHER)
        expected = {f"a.b_c-d:e:{{{key_hash}}}:{part}" for key_hash in hashes for part in "tlm"}
        assert set(await names(command)) <= expected
        assert len(await names(command)) == 4
    finally:
        await store.close()


def test_the_usual_prefix_is_the_products_name() -> None:
    """What a Redis contains of an installation without a prefix setting."""
    assert USUAL.keys("h") == ("mintonce:{h}:t", "mintonce:{h}:l", "mintonce:{h}:m")
    assert USUAL.wake_channel == "mintonce:wake"
