"""The peer of the client's tests."""

from collections.abc import Iterator

import pytest

from support.scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running
