"""What the guide runs on: a real Valkey, an OAuth domain to practise with, and replicas."""

import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_dev.valkey import EmbeddedValkey
from support.faulty_issuer import FaultyIssuer
from support.fleet import Fleet
from support.servers import looking_into, valkey_binary, without_ttl
from support.surroundings import issuer_with_log

Outage = Callable[[], AbstractContextManager[None]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedValkey]:
    """One server for the whole guide."""
    folder = tmp_path_factory.mktemp("valkey")
    async with EmbeddedValkey(folder, persist=False, binary=valkey_binary()) as running:
        yield running


@pytest_asyncio.fixture
async def redis_url(valkey: EmbeddedValkey) -> AsyncGenerator[str]:
    """Empty at first. Whatever a test does, no key may be left that would stay for ever."""
    async with looking_into(valkey.url) as command:
        await command("FLUSHALL")
        yield valkey.url
        assert await without_ttl(command) == []


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[FaultyIssuer]:
    """An OAuth domain whose tokens live an hour. It counts the POSTs: the witness of every claim here."""
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as running:
        yield running


@pytest_asyncio.fixture
async def fleet(issuer: FaultyIssuer, redis_url: str) -> AsyncIterator[Fleet]:
    running = Fleet(issuer, redis_url)
    yield running
    await running.stop()


@pytest.fixture
def store_outage(valkey: EmbeddedValkey, fleet: Fleet) -> Outage:
    """A block in which the store takes every question and answers none. Replicas give up after a second."""
    fleet.store_deadline = 1.0

    @contextmanager
    def stopped() -> Generator[None]:
        os.kill(valkey.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(valkey.pid, signal.SIGCONT)

    return stopped
