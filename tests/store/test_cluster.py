"""A store on a Cluster: each key is found on its server, and every message is received."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
import pytest_asyncio
from redis.crc import key_slot

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Hit, Wake, WakeKind
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.names import USUAL
from mintonce_server.store.notifications import GAP, Notifications
from mintonce_server.store.topology.cluster import ClusterServers
from mintonce_server.store.topology.routing import SlotMap
from support.eventually import eventually
from support.nodes import Node
from support.reaching import DEADLINE, mended, new_key, reaching, writes
from support.samples import KEY, acquire_request, any_token, load_all, shared
from support.topologies import NODE_TIMEOUT_MS, ClusterTopology, cluster

CHANNEL = USUAL.wake_channel
MANY = 40
"""Keys: enough to have some on each of three primaries."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClusterTopology]:
    async with cluster(tmp_path_factory.mktemp("cluster")) as topology:
        yield topology


@pytest_asyncio.fixture
async def topology(running: ClusterTopology) -> AsyncIterator[ClusterTopology]:
    """Complete and empty, whatever the previous test did to it."""
    await running.healed()
    await running.empty()
    yield running


def _record(store: RedisStore, key: TokenKey = KEY) -> str:
    return f"mintonce:{{{store.key_hash(key)}}}:t"


async def _generations(store: RedisStore, keys: list[TokenKey]) -> list[int | None]:
    return [token.generation if token else None for token in await load_all(store, keys)]


@pytest.mark.slow
async def test_many_keys_are_loaded_from_all_primaries(topology: ClusterTopology, clock: Clock) -> None:
    """In the order of the keys, including a missing one."""
    async with reaching(topology.url, clock) as store:
        keys = [new_key() for _ in range(MANY)]
        tokens = [await shared(store, clock, key) for key in keys]
        expected = [None, *(token.generation for token in tokens)]
        assert await _generations(store, [new_key(), *keys]) == expected
        assert await store.generations(keys) == expected[1:]
        assert {token.key for token in (await store.list("", 2 * MANY, any_token)).tokens} == set(keys)
        owners = [await topology.primary_of(_record(store, key)) for key in keys]
        assert set(owners) == set(await topology.primaries())


async def test_a_moved_slot_is_followed(topology: ClusterTopology, clock: Clock) -> None:
    """For single commands and batches, without an error."""
    async with reaching(topology.url, clock) as store:
        token = await shared(store, clock)
        await topology.migrate(_record(store))
        assert isinstance(await store.acquire(KEY, acquire_request()), Hit)
        await topology.migrate(_record(store))
        assert await _generations(store, [new_key(), KEY, new_key()]) == [None, token.generation, None]


async def test_a_slot_on_its_way_is_followed(topology: ClusterTopology, clock: Clock) -> None:
    """Keys that have moved are found on the new server; a script with keys on both servers waits."""
    async with reaching(topology.url, clock) as store:
        token = await shared(store, clock)
        source, slot = await topology.primary_of(_record(store)), key_slot(_record(store).encode())
        target = next(node for node in await topology.primaries() if node is not source)
        await topology.begin_migration(slot, source, target)
        await topology.carry(slot, source, target)
        assert await _generations(store, [KEY, new_key()]) == [token.generation, None]
        acquiring = asyncio.create_task(store.acquire(KEY, acquire_request()))
        await topology.end_migration(slot, target)
        assert isinstance(await acquiring, Hit)


async def test_a_killed_primary_is_replaced(topology: ClusterTopology, clock: Clock) -> None:
    """Calls end within their deadline meanwhile. Only wake messages that could not be sent are missed."""
    async with reaching(topology.url, clock) as store, aclosing(store.wakes()) as wakes:
        assert await anext(wakes) == GAP
        await mended(store, keys=MANY)
        victim = await topology.primary_of(_record(store))
        await victim.kill()
        assert not await writes(store, KEY)
        await mended(store, keys=MANY)
        token = await shared(store, clock)
        async with asyncio.timeout(5):
            while (heard := await anext(wakes)) == GAP:
                pass
        assert heard == Wake(WakeKind.COMMIT, store.key_hash(KEY), token.generation)


async def test_a_planned_failover_goes_unnoticed(topology: ClusterTopology, clock: Clock) -> None:
    """The former primary redirects to the new one."""
    async with reaching(topology.url, clock) as store:
        token = await shared(store, clock)
        await topology.fail_over(await topology.primary_of(_record(store)))
        assert await _generations(store, [KEY]) == [token.generation]
        assert isinstance(await store.acquire(KEY, acquire_request()), Hit)


async def test_a_stopped_server_delays_no_look(topology: ClusterTopology, clock: Clock) -> None:
    """It is in the URL and does not answer: the other servers know the slots."""
    first = topology.url.rpartition("@")[2].partition(",")[0]
    stopped = next(node for node in topology.servers if first.endswith(str(node.port)))
    stopped.stop()
    async with reaching(topology.url, clock) as store:
        keys = [new_key() for _ in range(MANY)]
        elsewhere = [key for key in keys if await topology.primary_of(_record(store, key)) is not stopped]
        assert elsewhere
        assert [await writes(store, key) for key in elsewhere] == [True] * len(elsewhere)


@pytest.mark.slow
async def test_the_trouble_of_a_part_stays_with_its_keys(topology: ClusterTopology, clock: Clock) -> None:
    """One primary does not answer: the others' keys are read, loaded and listed; the list is marked as truncated."""
    async with reaching(topology.url, clock) as store, _patient(topology):
        keys, tokens, victim, hit = await _spread(store, topology, clock)
        victim.stop()
        await _told_apart(store, keys, tokens, hit)
        listing = await store.list("", 2 * MANY, any_token)
    whole = {token.key for is_hit, token in zip(hit, tokens, strict=True) if not is_hit}
    assert {token.key for token in listing.tokens} == whole
    assert listing.truncated


@pytest.mark.slow
@pytest.mark.parametrize("hangs", [False, True], ids=["a refresh that finds no server", "a refresh without end"])
async def test_a_look_takes_no_answers_away(
    topology: ClusterTopology, clock: Clock, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """The replicas and one primary do not answer, so that a refresh takes long: the other primaries' keys are read."""
    hanging = asyncio.Event()
    look = ClusterServers._look

    async def look_or_hang(servers: ClusterServers) -> SlotMap:
        if hanging.is_set():
            await asyncio.Event().wait()
        return await look(servers)

    monkeypatch.setattr(ClusterServers, "_look", look_or_hang)
    async with reaching(topology.url, clock) as store, _patient(topology):
        keys, tokens, victim, hit = await _spread(store, topology, clock)
        primaries = await topology.primaries()
        for node in topology.servers:
            if node is victim or node not in primaries:
                node.stop()
        if hangs:
            hanging.set()
        await _told_apart(store, keys, tokens, hit)


@asynccontextmanager
async def _patient(topology: ClusterTopology) -> AsyncGenerator[None]:
    """Its servers never consider others dead, however slow the machine is: those that answer would serve nothing."""
    for node in topology.servers:
        await node.command("CONFIG", "SET", "cluster-node-timeout", 60_000)
    try:
        yield
    finally:
        for node in topology.servers:
            node.resume()
            await node.command("CONFIG", "SET", "cluster-node-timeout", NODE_TIMEOUT_MS)


async def _spread(
    store: RedisStore, topology: ClusterTopology, clock: Clock
) -> tuple[list[TokenKey], list[Token], Node, list[bool]]:
    """Keys, their records, the primary of the first key, and the keys on it."""
    keys = [new_key() for _ in range(MANY)]
    tokens = [await shared(store, clock, key) for key in keys]
    owners = [await topology.primary_of(_record(store, key)) for key in keys]
    assert len(set(owners)) > 1
    return keys, tokens, owners[0], [owner is owners[0] for owner in owners]


@pytest.mark.slow
async def test_a_process_without_a_turn_keeps_the_answers(topology: ClusterTopology, clock: Clock) -> None:
    """When it runs again, the deadlines of the batch and of the operation have passed: the others' keys are read."""
    async with reaching(topology.url, clock) as store, _patient(topology):
        keys, tokens, victim, hit = await _spread(store, topology, clock)
        victim.stop()
        await _told_apart(store, keys, tokens, hit, pause=1.25 * DEADLINE)


async def _told_apart(
    store: RedisStore, keys: list[TokenKey], tokens: list[Token], hit: list[bool], pause: float = 0.0
) -> None:
    """Keys of the failed server have an error, now and when its failure is known; the others are read."""
    later = asyncio.get_running_loop().call_later
    later(DEADLINE / 4, time.sleep, pause)
    generations = await store.generations(keys)
    later(DEADLINE / 4, time.sleep, pause)
    loaded = await store.load(keys)
    for is_hit, token, generation, found in zip(hit, tokens, generations, loaded, strict=True):
        if is_hit:
            assert isinstance(generation, StoreUnavailable)
            assert isinstance(found, StoreUnavailable)
            assert (generation.partial, found.partial) == (True, True)
        else:
            assert isinstance(found, Token)
            assert (generation, found.generation) == (token.generation, token.generation)


async def test_wakes_survive_the_loss_of_a_server(topology: ClusterTopology, clock: Clock) -> None:
    """With subscriptions to two servers, each message is received once, and the loss of one server loses none."""
    async with reaching(topology.url, clock) as store, aclosing(store.wakes()) as wakes:
        assert await anext(wakes) == GAP
        listened = await _listened(topology, 2)
        speaker = next(node for node in topology.servers if node not in listened)
        notifications = Notifications(FIXED_KEYRING.index_key)
        sent = [Wake(WakeKind.COMMIT, "abc", generation) for generation in range(1, 201)]
        for wake in sent:
            await speaker.command("PUBLISH", CHANNEL, notifications.encode(wake.kind, "abc", wake.generation))
            if wake.generation == 100:
                await listened[0].kill()
        heard: list[Wake] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                while len([wake for wake in heard if wake != GAP]) < len(sent):
                    heard.append(await anext(wakes))
        assert sorted(wake.generation for wake in heard if wake != GAP) == [wake.generation for wake in sent]
        await _listened(topology, 2)


@pytest.mark.slow
async def test_subscriptions_use_different_servers(topology: ClusterTopology, clock: Clock) -> None:
    """Though both choose a server at the same time, as in a new store."""
    for _ in range(8):
        async with reaching(topology.url, clock) as store, aclosing(store.wakes()) as wakes:
            assert await anext(wakes) == GAP
            await _listened(topology, 2)
        await _listened(topology, 0)


async def test_the_loss_of_a_subscription_is_reported(topology: ClusterTopology, clock: Clock) -> None:
    """It ends with a GAP: it is unknown what the other one missed."""
    troubles: list[StoreUnavailable] = []
    async with reaching(topology.url, clock, troubles) as store, aclosing(store.wakes()) as wakes:
        assert await anext(wakes) == GAP
        listened = await _listened(topology, 2)
        await listened[0].command("CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(5):
            assert await anext(wakes) == GAP
    assert len(troubles) == 1


async def _listened(topology: ClusterTopology, count: int) -> list[Node]:
    """The servers with a subscription."""

    async def listened() -> list[Node]:
        counts = [
            await node.command("PUBSUB", "NUMSUB", CHANNEL) if node.running else None for node in topology.servers
        ]
        return [node for node, said in zip(topology.servers, counts, strict=True) if said == [CHANNEL.encode(), 1]]

    return await eventually(listened, lambda nodes: len(nodes) == count, within=20.0)
