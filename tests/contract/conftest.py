"""Every store that must keep the contract: the memory of a process, Valkey 9, Redis 8."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_server.core.ports import TokenStore
from mintonce_server.dev.valkey import EmbeddedValkey
from mintonce_server.store import MemoryStore, RedisStore
from mintonce_server.telemetry.clock import SystemClock
from support.samples import HASHER
from support.servers import looking_into, redis_binary, valkey_binary, without_ttl

BINARIES = {"valkey": valkey_binary, "redis": redis_binary}

StoreMaker = Callable[[float], TokenStore]


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest_asyncio.fixture(params=["memory", "valkey", "redis"], scope="session", loop_scope="session")
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of a server, or "" for the memory store."""
    kind: str = request.param
    if kind == "memory":
        yield ""
        return
    folder: Path = tmp_path_factory.mktemp(kind)
    async with EmbeddedValkey(folder, persist=False, binary=BINARIES[kind]()) as valkey:
        yield valkey.url


@pytest_asyncio.fixture(autouse=True)
async def every_key_has_a_ttl(server: str) -> AsyncIterator[None]:
    """Each test begins with an empty server and leaves no key that would stay forever."""
    if not server:
        yield
        return
    async with looking_into(server) as command:
        await command("FLUSHALL")
        yield
        assert await without_ttl(command) == []


@pytest_asyncio.fixture
async def make_store(server: str, every_key_has_a_ttl: None, clock: SystemClock) -> AsyncIterator[StoreMaker]:
    """Makes stores with leases of so many seconds, all of the same fleet."""
    made: list[MemoryStore] = []
    async with AsyncExitStack() as stack:

        def make(lease_seconds: float) -> TokenStore:
            if not server:
                memory = MemoryStore(HASHER, clock, lease_seconds)
                made.append(memory)
                # As stores on one server do, those of one test share what they know.
                memory._entries, memory._listeners = made[0]._entries, made[0]._listeners
                return memory
            # A generous deadline: this suite asks what is answered, not how fast.
            store = RedisStore.connect(server, hasher=HASHER, clock=clock, lease_seconds=lease_seconds, deadline=5.0)
            stack.push_async_callback(store.close)
            return store

        yield make


@pytest_asyncio.fixture
async def store(make_store: StoreMaker) -> TokenStore:
    return make_store(60.0)


@pytest_asyncio.fixture
async def hasty(make_store: StoreMaker) -> TokenStore:
    """Its leases lapse almost at once, unless renewed."""
    return make_store(0.05)
