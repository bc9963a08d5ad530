"""What Mintonce is compared with: a GET of the same text from Valkey or Redis, by redis-py."""

import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, cast

from redis.asyncio import Redis

from bench.load import Call
from bench.methods import TOKEN_CHARACTERS
from mintonce_dev.valkey import EmbeddedValkey

READS: Final = 1000


class _Client(Protocol):
    """What is used of redis-py's client, with the types that it leaves open."""

    def get(self, name: str) -> Awaitable[object]: ...
    def set(self, name: str, value: str, *, ex: int) -> Awaitable[object]: ...
    async def aclose(self) -> None: ...


@asynccontextmanager
async def redis_get() -> AsyncGenerator[Call]:
    """The call, on a server of its own, over a Unix socket: kinder to Redis than a network would be."""
    with tempfile.TemporaryDirectory(prefix="mintonce-bench-") as directory:
        async with EmbeddedValkey(Path(directory), persist=False) as valkey:
            # redis-py leaves the types of its **kwargs open.
            redis = Redis.from_url(valkey.url, protocol=2, socket_timeout=5.0)  # pyright: ignore[reportUnknownMemberType]
            client = cast(_Client, redis)
            try:
                await client.set("bench", "t" * TOKEN_CHARACTERS, ex=3600)
                yield lambda: client.get("bench")
            finally:
                await client.aclose()


async def redis_latency() -> list[float]:
    """Seconds of bare round trips."""
    times: list[float] = []
    async with redis_get() as get:
        await get()
        for _ in range(READS):
            began = time.perf_counter()
            await get()
            times.append(time.perf_counter() - began)
    return times
