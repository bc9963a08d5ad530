"""Devices in between drop connections silently: the next command is answered on a new one."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from redis.asyncio.connection import Connection

from mintonce_server.common.clock import Clock
from mintonce_server.common.redis_url import Address, parse_redis_url
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Lease
from mintonce_server.store import RedisStore
from mintonce_server.store.notifications import GAP
from mintonce_server.store.topology import pool
from support.eventually import eventually
from support.fault_proxy import Fate, FaultProxy, Passing, fault_proxy
from support.nodes import PASSWORD, Node, free_ports
from support.options import redis_store
from support.reaching import new_key
from support.samples import HASHER, acquire_request
from support.servers import valkey_binary
from support.waiting import wait_until

DEADLINE = 2.0
"""Seconds, so that a machine that stands still for a moment is not taken for a store that does."""

SECRET = quote(PASSWORD, safe="")


@pytest.fixture(autouse=True)
def every_connection_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of after a second."""
    monkeypatch.setattr(pool, "IDLE", 0.0)


@asynccontextmanager
async def _running(*nodes: Node) -> AsyncGenerator[None]:
    try:
        for node in nodes:
            await node.start()
        yield
    finally:
        for node in nodes:
            await node.kill()


def _node(directory: Path, name: str, port: int, *lines: str, sentinel: bool = False) -> Node:
    return Node(name, port, directory=directory / name, binary=valkey_binary(), lines=lines, sentinel=sentinel)


@asynccontextmanager
async def _single(directory: Path) -> AsyncGenerator[tuple[str, list[FaultProxy], Node]]:
    node = _node(directory, "single", free_ports(1)[0])
    async with _running(node), fault_proxy(node.port) as proxy:
        yield f"redis://:{SECRET}@127.0.0.1:{proxy.port}/0", [proxy], node


@asynccontextmanager
async def _sentinel(directory: Path) -> AsyncGenerator[tuple[str, list[FaultProxy], Node]]:
    port, watching, named = free_ports(3)
    lines = (f"sentinel monitor main 127.0.0.1 {named} 2", "sentinel down-after-milliseconds main 60000")
    node, sentinel = _node(directory, "server", port), _node(directory, "sentinel", watching, *lines, sentinel=True)
    async with _running(node, sentinel), fault_proxy(port, listen=named) as one, fault_proxy(watching) as other:
        url = f"redis+sentinel://:{SECRET}@127.0.0.1:{other.port}/main/0?sentinel_password={SECRET}"
        yield url, [one, other], node


@asynccontextmanager
async def _cluster(directory: Path) -> AsyncGenerator[tuple[str, list[FaultProxy], Node]]:
    port, bus, announced = free_ports(3)
    lines = ("cluster-enabled yes", f"cluster-port {bus}", f"cluster-announce-port {announced}")
    node = _node(directory, "cluster", port, *lines)
    async with _running(node), fault_proxy(port, listen=announced) as proxy:
        await node.command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        await eventually(lambda: node.command("CLUSTER", "INFO"), lambda said: "cluster_state:ok" in str(said))
        yield f"redis+cluster://:{SECRET}@127.0.0.1:{announced}", [proxy], node


KINDS = {"single": _single, "sentinel": _sentinel, "cluster": _cluster}


@asynccontextmanager
async def _reaching(url: str, clock: Clock, deadline: float = DEADLINE) -> AsyncGenerator[RedisStore]:
    store = redis_store(url, hasher=HASHER, clock=clock, deadline=deadline)
    try:
        yield store
    finally:
        await store.close()


async def _many(store: RedisStore, count: int = pool.MAX_CONNECTIONS) -> None:
    """In parallel, so that each needs its own connection."""
    answers = await asyncio.gather(*(store.acquire(new_key(), acquire_request()) for _ in range(count)))
    assert all(isinstance(answer, Lease) for answer in answers)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_forgotten_connections_cost_nothing(kind: str, tmp_path: Path, clock: Clock) -> None:
    """With all connections of the pool in parallel: each gets its answer within the one deadline."""
    async with KINDS[kind](tmp_path) as (url, proxies, _), _reaching(url, clock) as store:
        await _many(store)
        for proxy in proxies:
            proxy.forget()
        await _many(store)
        assert isinstance(await store.acquire(new_key(), acquire_request()), Lease)


async def test_pipelines_too(tmp_path: Path, clock: Clock) -> None:
    """Revalidation and loading use them."""
    async with _single(tmp_path) as (url, (proxy,), _), _reaching(url, clock) as store:
        assert await store.load([new_key()]) == [None]
        proxy.forget()
        assert await store.load([new_key()]) == [None]


@pytest.mark.slow
async def test_a_subscription_too(tmp_path: Path, clock: Clock) -> None:
    """Its own PING detects it: a GAP says that messages may have been missed."""
    async with (
        _single(tmp_path) as (url, (proxy,), _),
        _reaching(url, clock) as store,
        aclosing(store.wakes()) as wakes,
    ):
        assert await anext(wakes) == GAP
        proxy.forget()
        async with asyncio.timeout(5.0):
            assert await anext(wakes) == GAP


def _answers(passing: Passing) -> bool:
    return passing.reply is not None and passing.words[:1] == (b"EVALSHA",)


async def test_a_slow_server_may_still_answer_the_first_try(tmp_path: Path, clock: Clock) -> None:
    """The second attempt runs in parallel."""
    async with _single(tmp_path) as (url, (proxy,), _), _reaching(url, clock) as store:
        await store.acquire(new_key(), acquire_request())
        slow = proxy.trap(_answers)
        asked = asyncio.create_task(store.acquire(new_key(), acquire_request()))
        await slow.sprung.wait()
        second = proxy.trap(_answers)
        await second.sprung.wait()
        slow.let_go()
        assert isinstance(await asked, Lease)
        assert not second._fate.done()


@pytest.mark.slow
async def test_an_outage_gets_one_more_try_for_an_old_connection(tmp_path: Path, clock: Clock) -> None:
    """None for the operations after that."""
    async with _single(tmp_path) as (url, (proxy,), node), _reaching(url, clock, 0.5) as store:
        await store.ping()
        node.stop()
        with pytest.raises(StoreUnavailable):
            await store.ping()
        assert proxy.opened == 2
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.ping()
        node.resume()
        assert proxy.opened == 4  # each had to connect, since the one before it had closed its connection


async def test_a_connection_in_use_gets_no_second_try(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It received data a moment ago: a server that is too slow must not get more work."""
    monkeypatch.setattr(pool, "IDLE", 60.0)
    async with _single(tmp_path) as (url, (proxy,), node), _reaching(url, clock, 0.5) as store:
        await store.ping()
        node.stop()
        with pytest.raises(StoreUnavailable):
            await store.ping()
        node.resume()
        assert proxy.opened == 1


async def test_a_reset_of_all_old_connections_costs_nothing(tmp_path: Path, clock: Clock) -> None:
    """As by a device that answers with a reset."""
    async with _single(tmp_path) as (url, (proxy,), _), _reaching(url, clock) as store:
        await _many(store)
        trapped = [proxy.trap(_asks) for _ in range(pool.MAX_CONNECTIONS)]
        asked = asyncio.create_task(_many(store))
        await wait_until(lambda: all(trap.sprung.is_set() for trap in trapped))
        for trap in trapped:
            trap.let_go(Fate.CUT)
        await asked


def _asks(passing: Passing) -> bool:
    return passing.reply is None and passing.words[:1] == (b"EVALSHA",)


async def test_idle_connections_are_kept_alive(tmp_path: Path) -> None:
    """By the kernel: devices in between see that they are in use, and a lost peer is detected."""
    async with _single(tmp_path) as (_, (proxy,), _node):
        target = parse_redis_url(f"redis://:{SECRET}@127.0.0.1:{proxy.port}/0")
        connection = pool.Pools(pool.server_options(target), DEADLINE).connection(Address("127.0.0.1", proxy.port))
        assert isinstance(connection, Connection)
        await connection.connect()  # type: ignore[no-untyped-call] # redis-py gives no types here
        assert connection._writer is not None
        opened: socket.socket = connection._writer.get_extra_info("socket")
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 30
        await connection.disconnect()
