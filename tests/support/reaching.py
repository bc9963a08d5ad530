"""Stores on servers that fail, and whether they keep their deadline meanwhile."""

import asyncio
import itertools
import time
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

DEADLINE = 0.25
LATE = 0.2
"""Seconds that a call may take beyond its deadline, on a busy machine."""

_names = itertools.count()


@asynccontextmanager
async def reaching(
    url: str, clock: Clock, troubles: list[StoreUnavailable] | None = None, *, deadline: float = DEADLINE
) -> AsyncGenerator[RedisStore]:
    """A store with the product's own deadline, or another one."""
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
    began = time.monotonic()
    try:
        return isinstance(await store.acquire(key or new_key(), acquire_request()), Lease)
    except StoreUnavailable:
        return False
    finally:
        assert time.monotonic() - began < DEADLINE + LATE


async def mended(store: RedisStore, keys: int = 1, within: float = 10.0) -> None:
    """It takes writes again, to many keys in a row."""

    async def all_of_them() -> bool:
        return all(await asyncio.gather(*(writes(store) for _ in range(keys))))

    await eventually(all_of_them, bool, within=within)
