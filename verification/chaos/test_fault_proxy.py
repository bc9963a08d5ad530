"""The proxy that stands between a replica and its store: it must do to the bytes what it says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, TimeoutError

from support.fault_proxy import Fate, FaultProxy, Hole, fault_proxy
from support.nodes import PASSWORD
from support.servers import Command
from support.speech import resp, words_of
from support.topologies import Topology, single


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Topology]:
    async with single(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def proxy(server: Topology) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(server.servers[0].port) as running:
        yield running


@pytest_asyncio.fixture
async def command(proxy: FaultProxy) -> AsyncIterator[Command]:
    """Fails after 0.3 s."""
    redis = Redis(port=proxy.port, password=PASSWORD, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=0.3)
    yield cast(Command, redis.execute_command)
    await redis.aclose()


async def test_what_passes_is_unchanged(command: Command) -> None:
    """Long values, binary ones, and many at once."""
    value = bytes(range(256)) * 1000
    await command("SET", "long", value)
    assert await asyncio.gather(*(command("GET", "long") for _ in range(20))) == [value] * 20


async def test_a_held_command_has_not_happened_yet(proxy: FaultProxy, command: Command, server: Topology) -> None:
    """Until it is let go."""
    trap = proxy.trap(lambda passing: passing.reply is None and passing.words[:1] == (b"SET",))
    asking = asyncio.ensure_future(command("SET", "name", "value"))
    await asyncio.wait_for(trap.sprung.wait(), 5.0)
    assert await server.servers[0].command("GET", "name") is None
    trap.let_go()
    await asking
    assert await server.servers[0].command("GET", "name") == b"value"


async def test_a_dropped_command_never_happens(proxy: FaultProxy, command: Command, server: Topology) -> None:
    """Its sender sees the connection break."""
    trap = proxy.trap(lambda passing: passing.reply is None and passing.words[:1] == (b"SET",))
    trap.let_go(Fate.CUT)
    with pytest.raises(ConnectionError):
        await command("SET", "name", "value")
    assert await server.servers[0].command("GET", "name") is None


@pytest.mark.parametrize(("fate", "error"), [(Fate.CUT, ConnectionError), (Fate.VANISH, TimeoutError)])
async def test_a_lost_reply_is_that_of_a_command_that_happened(
    proxy: FaultProxy, command: Command, server: Topology, fate: Fate, error: type[Exception]
) -> None:
    """Its sender cannot know."""
    proxy.loss, proxy.loss_fate = 1.0, fate
    proxy.lossy = lambda passing: passing.words[:1] == (b"SET",)
    with pytest.raises(error):
        await command("SET", "name", "value")
    assert await server.servers[0].command("GET", "name") == b"value"
    assert proxy.lost == 1
    proxy.heal()
    assert await command("GET", "name") == b"value"


async def test_a_hole_swallows_everything_until_it_is_healed(proxy: FaultProxy, command: Command) -> None:
    """Connections that are open, and new ones."""
    await command("SET", "name", "value")
    proxy.hole = Hole.ALL
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await command("GET", "name")
    proxy.heal()
    assert await command("GET", "name") == b"value"


async def test_a_hole_for_subscribers_leaves_commands_alone(proxy: FaultProxy, command: Command) -> None:
    """What is published does not arrive, and there is no error."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(f"AUTH {PASSWORD}\r\n".encode() + b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n")
        await reader.readuntil(b":1\r\n")
        assert await command("PUBLISH", "c", "heard") == 1
        await reader.readuntil(b"heard\r\n")
        proxy.hole = Hole.SUBSCRIBERS
        assert await command("PUBLISH", "c", "lost") == 1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
    finally:
        writer.close()


async def test_a_dead_server_looks_dead(proxy: FaultProxy, command: Command, server: Topology) -> None:
    """The proxy's own liveliness does not hide it."""
    await server.servers[0].kill()
    with pytest.raises(ConnectionError):
        await command("GET", "name")


def test_half_a_message_is_waited_for() -> None:
    """RESP2 in pieces of any size."""
    whole = b"*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"
    assert [resp(whole[:length]) for length in range(len(whole))] == [None] * len(whole)
    assert resp(whole + b"*1") == len(whole)
    assert words_of(whole) == (b"SET", b"a\r\nb", b"")
    nested = b"*2\r\n*2\r\n:1\r\n$-1\r\n-NOSCRIPT no\r\n"
    assert resp(nested + b"+") == len(nested)
