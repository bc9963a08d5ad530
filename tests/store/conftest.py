"""A Valkey for all tests that do not break it, and one for each test that does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.common.clock import SystemClock
from mintonce_server.store import RedisStore
from support.options import redis_store
from support.samples import HASHER
from support.servers import Command, looking_into, valkey_binary, without_ttl


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Of a server that all tests share."""
    async with EmbeddedValkey(tmp_path_factory.mktemp("shared"), persist=False, binary=valkey_binary()) as valkey:
        yield valkey.url


@pytest_asyncio.fixture
async def command(url: str) -> AsyncIterator[Command]:
    """Commands to the shared server, which starts empty and must end without a key that has no TTL."""
    async with looking_into(url) as command:
        await command("FLUSHALL")
        yield command
        assert await without_ttl(command) == []


@pytest_asyncio.fixture
async def store(url: str, command: Command, clock: SystemClock) -> AsyncIterator[RedisStore]:
    """On the shared server."""
    store = redis_store(url, hasher=HASHER, clock=clock, lease_seconds=60.0, deadline=5.0)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A server that the test may kill or stop."""
    async with EmbeddedValkey(tmp_path / "valkey", binary=valkey_binary()) as valkey:
        yield valkey
