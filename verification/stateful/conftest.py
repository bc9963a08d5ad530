"""The servers whose Lua must do what the model says."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import Phase, settings

from mintonce_dev.valkey import EmbeddedValkey
from support.servers import redis_binary, valkey_binary

# For `make mutants`: that a test fails is all there is to know, not the shortest way to it.
settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate])

BINARIES = {"valkey": valkey_binary, "redis": redis_binary}


@pytest_asyncio.fixture(
    params=["valkey", pytest.param("redis", marks=pytest.mark.slow)], scope="session", loop_scope="session"
)
async def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Of Valkey 9, of Redis 8."""
    kind: str = request.param
    folder: Path = tmp_path_factory.mktemp(kind)
    async with EmbeddedValkey(folder, persist=False, binary=BINARIES[kind]()) as valkey:
        yield valkey.url
