"""A store changes to new connections without a failed command: the former ones end when they are idle."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.common.redis_url import Target, parse_redis_url
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Lease
from mintonce_server.store import RedisStore, link
from mintonce_server.store.notifications import GAP
from support.fault_proxy import FaultProxy, Passing, fault_proxy
from support.garbage import REPLIES
from support.options import redis_store
from support.reaching import new_key
from support.samples import HASHER, acquire_request
from support.topologies import single
from support.waiting import wait_until


@asynccontextmanager
async def _exchanging(
    directory: Path, clock: Clock, deadline: float = 5.0
) -> AsyncGenerator[tuple[RedisStore, FaultProxy, Target]]:
    async with single(directory / "server") as topology, fault_proxy(topology.servers[0].port) as proxy:
        url = topology.url.replace(f":{topology.servers[0].port}/", f":{proxy.port}/")
        store = redis_store(url, hasher=HASHER, clock=clock, deadline=deadline)
        try:
            yield store, proxy, parse_redis_url(url)
        finally:
            await store.close()


def _answers(passing: Passing) -> bool:
    return passing.reply is not None and passing.words[:1] == (b"EVALSHA",)


def _asks(passing: Passing) -> bool:
    return passing.reply is None and passing.words[:1] == (b"EVALSHA",)


async def test_what_is_under_way_is_answered(tmp_path: Path, clock: Clock) -> None:
    """On the old connection, without a repetition; the next command uses a new one, and the old one is closed."""
    async with _exchanging(tmp_path, clock) as (store, proxy, target):
        await store.acquire(new_key(), acquire_request())
        held = proxy.trap(_answers)
        asked = asyncio.create_task(store.acquire(new_key(), acquire_request()))
        await held.sprung.wait()
        await store.exchange(target)
        again = proxy.trap(_asks)
        held.let_go()
        assert isinstance(await asked, Lease)
        assert not again.sprung.is_set()
        again.let_go()
        assert isinstance(await store.acquire(new_key(), acquire_request()), Lease)
        await wait_until(lambda: len(proxy._connections) == 1)


async def test_the_next_exchange_does_not_wait_for_what_is_under_way(tmp_path: Path, clock: Clock) -> None:
    """Files may change again while an old connection is in use; at the end no connection is left open."""
    async with _exchanging(tmp_path, clock) as (store, proxy, target):
        held = proxy.trap(_answers)
        asked = asyncio.create_task(store.acquire(new_key(), acquire_request()))
        await held.sprung.wait()
        async with asyncio.timeout(link.LINGER / 2):
            for _ in range(3):
                await store.exchange(target)
        held.let_go()
        assert isinstance(await asked, Lease)
        await store.exchange(target)
        await store.close()
        await wait_until(lambda: not proxy._connections)


async def test_only_so_many_former_connections_linger(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next exchange waits for the first of them to end."""
    monkeypatch.setattr(link, "MAX_FORMER", 1)
    monkeypatch.setattr(link, "LINGER", 0.3)
    async with _exchanging(tmp_path, clock) as (store, _, target):
        for _ in range(3):
            await store.exchange(target)
            assert len(store._link._former) == 1


async def test_the_subscription_goes_over_too(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GAP, and without an error."""
    monkeypatch.setattr(link, "LINGER", 0.0)
    async with _exchanging(tmp_path, clock) as (store, proxy, target), aclosing(store.wakes()) as wakes:
        assert await anext(wakes) == GAP
        before = proxy.opened
        await store.exchange(target)
        async with asyncio.timeout(5.0):
            assert await anext(wakes) == GAP
        assert proxy.opened == before + 2  # one was tried out, and one listens


async def test_what_does_not_work_is_not_used(tmp_path: Path, clock: Clock) -> None:
    """The old connections stay in use."""
    async with _exchanging(tmp_path, clock) as (store, _, target):
        await store.ping()
        wrong = parse_redis_url(f"redis://:wrong@127.0.0.1:{target.addresses[0].port}/0")
        with pytest.raises(StoreUnavailable, match="refused our user name or password"):
            await store.exchange(wrong)
        await store.ping()


@pytest.mark.parametrize("garbage", REPLIES.values(), ids=REPLIES)
async def test_nor_what_answers_garbage(garbage: bytes, tmp_path: Path, clock: Clock) -> None:
    """Any garbage is an outage of the new connections."""
    async with _exchanging(tmp_path, clock, 0.5) as (store, proxy, target):
        proxy.garbage = garbage
        with pytest.raises(StoreUnavailable):
            await store.exchange(target)
