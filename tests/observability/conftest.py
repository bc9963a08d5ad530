"""Logs that a test can read."""

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from mintonce_server.core.secret import Secret
from mintonce_server.observability import logs

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
