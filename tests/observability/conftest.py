"""Logs that a test can read, and replicas whose spans it can read."""

import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.core.secret import Secret
from mintonce_server.observability import logs
from support.faulty_issuer import FaultyIssuer
from support.servers import valkey_binary
from support.surroundings import issuer_with_log
from support.traced_calls import Start, starting

Configure = Callable[..., io.StringIO]


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Configures logging with a stream to read. Afterwards everything is as it was."""
    root, talkative = logging.getLogger(), [logging.getLogger(name) for name in ("httpx", "httpcore", "hpack", "h2")]
    before = root.level, root.handlers[:], [logger.level for logger in talkative]

    def start(level: str = "debug", format: logs.Format = "json", known: tuple[Secret, ...] = ()) -> io.StringIO:
        for handler in root.handlers[:]:
            if type(handler).__module__.startswith("_pytest"):  # they fail a test when a log call cannot be formatted
                root.removeHandler(handler)
        stream = io.StringIO()
        logs.configure(level, format, stream, known)
        return stream

    yield start
    logs.configure("info", "json")
    root.level, root.handlers[:] = before[0], before[1]
    for logger, level in zip(talkative, before[2], strict=True):
        logger.setLevel(level)


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[FaultyIssuer]:
    """Its tokens live an hour."""
    with issuer_with_log(tmp_path / "posts.jsonl", lifetime=3600.0) as running:
        yield running


@pytest_asyncio.fixture
async def start(issuer: FaultyIssuer, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts replicas on a store of the test's own."""
    async with EmbeddedValkey(tmp_path / "valkey", persist=False, binary=valkey_binary()) as valkey:
        yield starting(valkey.url, issuer.token_url)
