"""Every store that must keep the contract: memory, Valkey 9, Redis 8, Sentinels, a Cluster."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.ports import TokenStore
from mintonce_server.store import MemoryStore
from mintonce_server.store.memory_server import MemoryServer
from support.nodes import Node
from support.options import redis_store
from support.samples import HASHER
from support.servers import Command, looking_into, redis_binary, valkey_binary, without_ttl
from support.topologies import cluster, sentinel

BINARIES = {"valkey": valkey_binary, "redis": redis_binary}
TOPOLOGIES = {"sentinel": sentinel, "cluster": cluster}


@dataclass(frozen=True)
class Server:
    """A store's URL, and its primaries if there are others than the server in the URL."""

    url: str
    primaries: tuple[Node, ...] = ()


StoreMaker = Callable[[float], TokenStore]


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest_asyncio.fixture(
    params=["memory", "valkey", "redis", "sentinel", "cluster"], scope="session", loop_scope="session"
)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """The memory store has no URL and no servers."""
    kind: str = request.param
    folder: Path = tmp_path_factory.mktemp(kind)
    async with AsyncExitStack() as stack:
        if kind in BINARIES:
            valkey = EmbeddedValkey(folder, persist=False, binary=BINARIES[kind]())
            yield Server((await stack.enter_async_context(valkey)).url)
        elif kind in TOPOLOGIES:
            topology = await stack.enter_async_context(TOPOLOGIES[kind](folder))
            yield Server(topology.url, tuple(await topology.primaries()))
        else:
            yield Server("")


@pytest_asyncio.fixture(autouse=True)
async def every_key_has_a_ttl(server: Server) -> AsyncIterator[None]:
    """Each test starts with empty servers and leaves no key without a TTL."""
    async with AsyncExitStack() as stack:
        commands: list[Command] = [node.command for node in server.primaries]
        if server.url and not commands:
            commands = [await stack.enter_async_context(looking_into(server.url))]
        for command in commands:
            await command("FLUSHALL")
        yield
        for command in commands:
            assert await without_ttl(command) == []


@pytest_asyncio.fixture
async def make_store(server: Server, every_key_has_a_ttl: None, clock: SystemClock) -> AsyncIterator[StoreMaker]:
    """Makes stores of one fleet, with leases of the given seconds."""
    memory = MemoryServer(clock)
    async with AsyncExitStack() as stack:

        def make(lease_seconds: float) -> TokenStore:
            if not server.url:
                return MemoryStore(HASHER, clock, lease_seconds, memory)
            # A generous deadline: this suite asks what is answered, not how fast.
            store = redis_store(server.url, hasher=HASHER, clock=clock, lease_seconds=lease_seconds, deadline=5.0)
            stack.push_async_callback(store.close)
            return store

        yield make


@pytest_asyncio.fixture
async def store(make_store: StoreMaker) -> TokenStore:
    return make_store(60.0)


@pytest_asyncio.fixture
async def hasty(make_store: StoreMaker) -> TokenStore:
    """Its leases expire almost at once, unless renewed."""
    return make_store(0.05)
