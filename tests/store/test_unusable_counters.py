"""A counter whose key something else wrote: what it counts waits, and everything else goes on."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.budget import Month, Usage
from mintonce_server.core.errors import UnusableCounter
from mintonce_server.core.key import TokenKey
from mintonce_server.core.usage import UsageCounter
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.store_watch import StoreWatch
from mintonce_server.store import RedisStore
from support.options import redis_store
from support.samples import HASHER
from support.servers import Command

CLIENTS = {"billing": "acme", "orders": "acme", "shipping": "acme"}
BROKEN = "orders"


@pytest.fixture
def watch(clock: Clock) -> StoreWatch:
    return StoreWatch(Metrics(list(CLIENTS)), clock)


@pytest_asyncio.fixture
async def watched(url: str, command: Command, clock: Clock, watch: StoreWatch) -> AsyncIterator[RedisStore]:
    store = redis_store(url, hasher=HASHER, clock=clock, deadline=5.0, meter=watch)
    yield store
    await store.close()


def counter_of(store: RedisStore, clock: Clock, happened: list[events.Event]) -> UsageCounter:
    return UsageCounter(store.usage, CLIENTS, {}, clock, happened.append, random.Random(1))


def mint(counter: UsageCounter) -> None:
    for client in CLIENTS:
        key = TokenKey.of(client, "https://api.example.com/")
        counter.observe(events.Minted("0" * 32, key, 7, events.Cause.ABSENT, 0.1, 3600.0, "ab", ""))


async def counted(store: RedisStore, clock: Clock) -> list[int]:
    found = await store.usage.usage([(client, Month.at(clock.unix())) for client in CLIENTS])
    return [each.mints if isinstance(each, Usage) else -1 for each in found]


def key_of_broken(clock: Clock) -> str:
    return f"mintonce:{{{HASHER.of_client(BROKEN)}}}:u:{Month.at(clock.unix())}"


async def test_only_the_counts_of_that_client_wait(
    watched: RedisStore, watch: StoreWatch, command: Command, clock: Clock
) -> None:
    """The store is not away, other clients are counted, the replica is listed; one log line names key and remedy."""
    await command("SET", key_of_broken(clock), "7", "EX", 600)
    happened: list[events.Event] = []
    counter = counter_of(watched, clock, happened)
    for _ in range(2):
        mint(counter)
        await counter.sync()
    assert await counted(watched, clock) == [2, -1, 2]
    assert [each.client for each in counter.snapshot().clients] == ["billing", "shipping"]
    assert [each.id for each in await counter.replicas()] == [counter.replica.id]
    assert watch.view("").is_up
    (line,) = happened
    assert isinstance(line, events.CountsHeldUp)
    assert line.client == BROKEN
    assert key_of_broken(clock) in line.detail
    assert f"DEL '{key_of_broken(clock)}'" in line.remedy


async def test_what_waited_is_counted_once_the_key_is_deleted(
    watched: RedisStore, command: Command, clock: Clock
) -> None:
    """The remedy works, and loses nothing."""
    await command("SADD", key_of_broken(clock), "member")
    await command("EXPIRE", key_of_broken(clock), 600)
    counter = counter_of(watched, clock, [])
    mint(counter)
    await counter.sync()
    mint(counter)
    await counter.sync()
    await command("DEL", key_of_broken(clock))
    await counter.sync()
    assert await counted(watched, clock) == [2, 2, 2]


async def test_whoever_asks_for_these_counts_reads_the_remedy(
    watched: RedisStore, watch: StoreWatch, command: Command, clock: Clock
) -> None:
    """Also where it is the only client, and when the replica leaves."""
    await command("SET", key_of_broken(clock), "7", "EX", 600)
    counter = counter_of(watched, clock, [])
    with pytest.raises(UnusableCounter, match="holds no counter"):
        await counter.usage(BROKEN, None)
    mint(counter)
    await counter.close()
    assert await counted(watched, clock) == [1, -1, 1]
    assert watch.view("").is_up
