"""A replica on a store in memory, with a practice issuer over HTTP."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_dev.practice_issuer import PracticeIssuer
from support.house import House, house
from support.surroundings import issuer_with_log


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[PracticeIssuer]:
    """Its tokens live an hour."""
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as running:
        yield running


@pytest_asyncio.fixture
async def replica(issuer: PracticeIssuer) -> AsyncIterator[House]:
    """It serves on a Unix socket."""
    async with house(issuer.token_url) as running:
        yield running
