"""A store behind Sentinels: its primary is found, and found again after a failover."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store.notifications import GAP
from support.eventually import eventually
from support.nodes import PASSWORD
from support.reaching import mended, reaching, writes
from support.samples import KEY, load_all, shared
from support.topologies import SERVICE, SentinelTopology, sentinel


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SentinelTopology]:
    async with sentinel(tmp_path_factory.mktemp("sentinel")) as topology:
        yield topology


@pytest_asyncio.fixture
async def topology(running: SentinelTopology) -> AsyncIterator[SentinelTopology]:
    """Complete and empty, whatever the previous test did to it."""
    await running.healed()
    await running.empty()
    yield running


@pytest.mark.slow
async def test_a_planned_failover_loses_nothing(topology: SentinelTopology, clock: Clock) -> None:
    """The former primary refuses writes at once, and the new one has the token."""
    async with reaching(topology.url, clock) as store:
        token = await shared(store, clock)
        new = await topology.fail_over()
        # Sentinels of Redis 6.2 look at the former primary each 10 s only.
        await eventually(topology.primaries, lambda primaries: primaries == [new], within=30.0)
        await mended(store)
        assert [found and found.generation for found in await load_all(store, [KEY])] == [token.generation]


async def test_a_killed_primary_is_replaced(topology: SentinelTopology, clock: Clock) -> None:
    """Calls end within their deadline meanwhile; wake messages come from the new primary."""
    async with reaching(topology.url, clock) as store, aclosing(store.wakes()) as wakes:
        assert await writes(store)
        assert await anext(wakes) == GAP
        await (await topology.primary_of("any")).kill()
        assert not await writes(store)
        await mended(store)
        async with asyncio.timeout(5):
            assert await anext(wakes) == GAP
        token = await shared(store, clock)
        assert await anext(wakes) == Wake(WakeKind.COMMIT, store.key_hash(KEY), token.generation)


@pytest.mark.slow
async def test_a_stopped_primary_that_comes_back_is_no_primary(topology: SentinelTopology, clock: Clock) -> None:
    """It acts as a primary until the Sentinels correct it: no replica writes to it."""
    async with reaching(topology.url, clock) as store:
        await shared(store, clock)
        stopped = await topology.primary_of("any")
        replica = await topology.replica_of(stopped)
        stopped.stop()
        await mended(store)
        stopped.resume()
        token = await shared(store, clock, KEY, cv=2)
        assert await replica.command("HGET", _record(store.key_hash(KEY)), "f") == str(token.generation).encode()


async def test_a_stopped_sentinel_is_no_obstacle(topology: SentinelTopology, clock: Clock) -> None:
    """The others answer at once."""
    topology.sentinels[0].stop()
    async with reaching(topology.url, clock) as store:
        assert await writes(store)


async def test_without_its_sentinels_a_store_goes_on(topology: SentinelTopology, clock: Clock) -> None:
    """The last known primary is used, even if a connection to it breaks."""
    async with reaching(topology.url, clock) as store:
        assert await writes(store)
        for node in topology.sentinels:
            await node.kill()
        await (await topology.primary_of("any")).command("CLIENT", "KILL", "TYPE", "normal")
        assert await writes(store)
        await mended(store)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f"sentinel_password={quote(PASSWORD, safe='')}", "sentinel_password=the-wrong-one", "user name or password"),
        (f":{quote(PASSWORD, safe='')}@", ":the-wrong-one@", "user name or password"),
        (f"/{SERVICE}/", "/another/", "do not know the service 'another'"),
    ],
)
async def test_a_wrong_word_is_said(topology: SentinelTopology, clock: Clock, old: str, new: str, said: str) -> None:
    """For the Sentinels or the servers, without showing it."""
    async with reaching(topology.url.replace(old, new), clock) as store:
        with pytest.raises(StoreUnavailable, match=said) as caught:
            await store.ping()
    assert "the-wrong-one" not in f"{caught.value} {caught.value.remedy}"


async def test_sentinels_that_are_not_there_are_said(tmp_path: Path, clock: Clock) -> None:
    """With their names, within the deadline."""
    async with reaching("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main", clock) as store:
        with pytest.raises(StoreUnavailable, match=r"nothing listens .* 127\.0\.0\.1:1,127\.0\.0\.1:2/main$"):
            await store.ping()


def _record(key_hash: str) -> str:
    return f"mintonce:{{{key_hash}}}:t"
