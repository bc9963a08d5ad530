"""A reply that is lost after the operation costs nothing: the repetition gives the same answer."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest_asyncio

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Failure, Refusal
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from support.lossy import Lossy, lossy
from support.options import redis_store
from support.samples import HASHER, KEY, lease_of, minted, shared
from support.servers import Command


@pytest_asyncio.fixture
async def proxy(url: str, command: Command, tmp_path: Path) -> AsyncIterator[Lossy]:
    """In front of the shared server."""
    async with lossy(urlsplit(url).path, tmp_path / "lossy.sock") as proxy:
        yield proxy


@pytest_asyncio.fixture
async def through(url: str, proxy: Lossy, clock: Clock, tmp_path: Path) -> AsyncIterator[RedisStore]:
    """A store whose one pooled connection goes through the proxy."""
    beside = f"unix://:{urlsplit(url).password}@{tmp_path}/lossy.sock"
    store = redis_store(beside, hasher=HASHER, clock=clock, lease_seconds=60.0, deadline=5.0)
    await store.ping()
    yield store
    await store.close()


async def test_acquire(through: RedisStore, proxy: Lossy, store: RedisStore) -> None:
    """The lease is still the caller's, and not another holder's."""
    proxy.lose_next()
    lease = await lease_of(through)
    assert proxy.lost == 1
    assert await store.renew(lease) is not None


async def test_commit(through: RedisStore, proxy: Lossy, clock: Clock) -> None:
    """The token is there already, which is not a refusal."""
    lease = await lease_of(through)
    proxy.lose_next()
    assert isinstance(await through.commit(lease, minted(clock)), Token)
    assert proxy.lost == 1


async def test_fail(through: RedisStore, proxy: Lossy) -> None:
    """It counts once."""
    lease = await lease_of(through)
    proxy.lose_next()
    await through.fail(lease, Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
    assert proxy.lost == 1
    assert (await lease_of(through)).failures == 1


async def test_renew(through: RedisStore, proxy: Lossy) -> None:
    """It is still ours."""
    lease = await lease_of(through)
    proxy.lose_next()
    assert await through.renew(lease) is not None
    assert proxy.lost == 1


async def test_reject(through: RedisStore, proxy: Lossy, clock: Clock) -> None:
    """The caller learns that it was current, and need not retry later."""
    token = await shared(through, clock)
    proxy.lose_next()
    rejection = await through.reject(KEY, token.generation, 30.0)
    assert proxy.lost == 1
    assert (rejection.was_current, rejection.retry_after) == (True, None)


async def test_restore(through: RedisStore, proxy: Lossy, store: RedisStore, clock: Clock) -> None:
    """The second attempt finds the record of the first, which is not a refusal."""
    token = await shared(store, clock)
    await store.reject(KEY, token.generation, 0.0)
    held = replace(token, generation=token.generation + 1)
    proxy.lose_next()
    given = await through.restore(held)
    assert proxy.lost == 1
    assert isinstance(given, Token)
    assert await store.generations([KEY]) == [held.generation]


async def test_generations(through: RedisStore, proxy: Lossy, clock: Clock) -> None:
    """A read has no effect and is simply repeated."""
    token = await shared(through, clock)
    proxy.lose_next()
    assert await through.generations([KEY]) == [token.generation]
    assert proxy.lost == 1


async def test_restore_of_what_is_refused(through: RedisStore, proxy: Lossy, clock: Clock) -> None:
    """The refusal is the same, too."""
    token = await shared(through, clock)
    await through.reject(KEY, token.generation, 30.0)
    proxy.lose_next()
    assert await through.restore(token) is Refusal.REJECTED
    assert proxy.lost == 1


async def test_acquire_after_a_rejection(through: RedisStore, proxy: Lossy, clock: Clock) -> None:
    """The lease of the repetition knows of it as the lost one did."""
    token = await shared(through, clock)
    await through.reject(KEY, token.generation, 30.0)
    proxy.lose_next()
    assert (await lease_of(through)).rejected == token.access_token.fingerprint()
    assert proxy.lost == 1
