"""Stores on servers that fail, and whether they keep their deadline meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Lease
from mintonce_server.store import RedisStore
from support.eventually import eventually
from support.options import redis_store
from support.samples import HASHER, acquire_request

DEADLINE = 1.0
"""Seconds. Longer than the product's own: a busy machine takes half a second away, and the store answered in time."""
LATE = 0.2
"""Seconds that a call may take beyond its deadline."""
TICK = 0.01

_names = itertools.count()


@asynccontextmanager
async def reaching(
    url: str, clock: Clock, troubles: list[StoreUnavailable] | None = None, *, deadline: float = DEADLINE
) -> AsyncGenerator[RedisStore]:
    """A store that is closed at the end."""
    told = [] if troubles is None else troubles
    store = redis_store(url, hasher=HASHER, clock=clock, deadline=deadline, on_error=told.append)
    try:
        yield store
    finally:
        await store.close()


def new_key() -> TokenKey:
    """Of which the store has nothing."""
    return TokenKey.of("billing", f"https://api-{next(_names)}.example.com/")


async def writes(store: RedisStore, key: TokenKey | None = None) -> bool:
    """Whether it takes a write. Fails if it takes longer than its deadline to say so."""
    async with _within(DEADLINE + LATE):
        try:
            return isinstance(await store.acquire(key or new_key(), acquire_request()), Lease)
        except StoreUnavailable:
            return False


async def mended(store: RedisStore, keys: int = 1, within: float = 10.0) -> None:
    """It takes writes again, to many keys in a row."""

    async def all_of_them() -> bool:
        return all(await asyncio.gather(*(writes(store) for _ in range(keys))))

    await eventually(all_of_them, bool, within=within)


@asynccontextmanager
async def _within(seconds: float) -> AsyncGenerator[None]:
    """Fails if the block takes longer. What the machine takes away from this process at once counts as one tick."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(TICK)
            ticks += 1

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
    assert ticks * TICK < seconds
