"""A cancelled command leaves no connection open, wherever it is cancelled.

A lost connection costs the service and the server a descriptor until garbage collection.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
import pytest_asyncio

from mintonce_server.common.redis_url import Address, parse_redis_url
from mintonce_server.store.topology.pool import Pool, Pools, server_options
from support.eventually import eventually
from support.fault_proxy import Passing, fault_proxy
from support.nodes import Node
from support.topologies import Topology, single

TOGETHER = 4
"""Commands that run at the same time."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def topology(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Topology]:
    """One server for all tests here."""
    async with single(tmp_path_factory.mktemp("lost") / "server") as topology:
        yield topology


@pytest.fixture
def node(topology: Topology) -> Node:
    return topology.servers[0]


def _pools(topology: Topology) -> Pools:
    return Pools(server_options(parse_redis_url(topology.url)), 5.0)


async def _clients(node: Node) -> int:
    """The server's number of connections."""
    return cast(bytes, await node.command("CLIENT", "LIST")).count(b"\n")


async def _none_is_left(node: Node, before: int) -> None:
    assert await eventually(lambda: _clients(node), lambda count: count == before, within=5.0) == before


async def _cancelled_after(steps: int, tasks: Sequence["asyncio.Future[Any]"]) -> int:
    """Cancel them after so many steps of the loop. Returns how many were cancelled."""
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    return sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


def _answers_ping(passing: Passing) -> bool:
    return passing.reply is not None and passing.words[:1] == (b"PING",)


async def test_a_command_cancelled_while_connections_are_renewed(topology: Topology, node: Node) -> None:
    """All answers arrive at once, so that all connections are released at once; then the commands are cancelled."""
    before, steps, cancelled = await _clients(node), 0, TOGETHER
    async with fault_proxy(node.port) as proxy:
        while cancelled:
            pools, address = _pools(topology), Address("127.0.0.1", proxy.port)
            traps = [proxy.trap(_answers_ping) for _ in range(TOGETHER)]
            tasks = [asyncio.ensure_future(pools.at(address).ping()) for _ in range(TOGETHER)]
            for trap in traps:
                await trap.sprung.wait()
            await pools.renew()
            for trap in traps:
                trap.let_go()
            cancelled, steps = await _cancelled_after(steps, tasks), steps + 1
            # No command has one now: what stays open would never be closed.
            await pools.retire()
            await _none_is_left(node, before)
            await pools.close()
    assert steps > TOGETHER


async def test_a_command_cancelled_while_it_connects(topology: Topology, node: Node) -> None:
    """At each step, from the first to the answer."""
    before, steps, cancelled = await _clients(node), 0, TOGETHER
    while cancelled:
        pools, address = _pools(topology), Address("127.0.0.1", node.port)
        tasks = [asyncio.ensure_future(pools.at(address).ping()) for _ in range(TOGETHER)]
        cancelled, steps = await _cancelled_after(steps, tasks), steps + 1
        await pools.retire()
        await _none_is_left(node, before)
        await pools.close()
    assert steps > TOGETHER


async def test_a_connection_whose_return_is_cancelled_is_closed(topology: Topology, node: Node) -> None:
    """Its place in the pool is free again."""
    pool = Pool(**server_options(parse_redis_url(topology.url)), host="127.0.0.1", port=node.port)
    connection = await pool.get_connection()
    async with pool._condition:
        assert await _cancelled_after(1, [asyncio.ensure_future(pool.release(connection))]) == 1
    assert not connection.is_connected
    assert not pool.is_in_use
    await pool.disconnect()


async def test_a_pool_that_cannot_be_closed_keeps_no_other_one_open(
    topology: Topology, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example one whose server does not answer the end of TLS."""
    before, pools = await _clients(node), _pools(topology)
    for host in ("127.0.0.1", "localhost"):
        await pools.at(Address(host, node.port)).ping()
    close = Pool.disconnect

    async def close_and_fail(pool: Pool) -> None:
        await close(pool)
        raise TimeoutError

    monkeypatch.setattr(Pool, "disconnect", close_and_fail)
    await pools.close()
    await _none_is_left(node, before)
