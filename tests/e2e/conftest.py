"""A store and an issuer for real processes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from support.servers import looking_into, without_ttl
from support.surroundings import issuer_with_log, smallest_settings


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[PracticeIssuer]:
    """Its tokens live an hour."""
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as running:
        yield running


@pytest_asyncio.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """The test's own, so it may be stopped. Whatever happens, no key in it may stay for ever."""
    async with EmbeddedValkey(tmp_path / "valkey", persist=False) as running:
        yield running
        async with looking_into(running.url) as command:
            assert await without_ttl(command) == []


@pytest.fixture
def settings(issuer: PracticeIssuer, valkey: EmbeddedValkey) -> dict[str, str]:
    """The smallest set-up: one client, named `default`."""
    return smallest_settings(issuer, valkey.url)
