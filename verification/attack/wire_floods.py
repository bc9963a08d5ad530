"""Floods on raw HTTP/2, by an unknown caller: calls that stay half open, watches of health, resets."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from grpc_health.v1 import health_pb2

from support.http2 import GET_TOKEN, Peer, header_block, message, peer
from support.waiting import wait_until

CALLS: Final = 10_050
WATCHES: Final = 200
AT_ONCE: Final = 100
"""Streams that are reset before the flooder looks up."""
WATCH: Final = "/grpc.health.v1.Health/Watch"
HEALTH: Final = message(health_pb2.HealthCheckRequest().SerializeToString())

WireFlood = Callable[[str, str, float], Awaitable[int]]
"""As floods.Flood. None of these has a use for the key."""


@asynccontextmanager
async def _peers(target: str, count: int) -> AsyncGenerator[list[Peer]]:
    """So many connections that have been greeted."""
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(peer(target)) for _ in range(count)]
        await wait_until(lambda: all(one.settings or one.closed for one in made))
        yield made


async def half_open(target: str, seconds: float, connections: int, calls: int = CALLS) -> int:
    """Headers of calls whose message never comes; each connection sends its share at once."""
    block = header_block(GET_TOKEN)
    async with _peers(target, connections) as peers:
        for number in range(calls):
            peers[number * connections // calls].open(block)
        await asyncio.sleep(seconds)
    return calls


async def nameless_watches(target: str, seconds: float, calls: int = WATCHES) -> int:
    """Watches of health that are opened and kept, on one connection."""
    async with _peers(target, 1) as (one,):
        for _ in range(calls):
            one.open(header_block(WATCH), body=HEALTH)
        await asyncio.sleep(seconds)
    return calls


async def _watches(target: str, _: str, seconds: float) -> int:
    return await nameless_watches(target, seconds)


async def rapid_resets(target: str, _: str, seconds: float) -> int:
    """Streams that are opened and reset at once (CVE-2023-44487). A connection that is closed is replaced."""
    calls, until, block = 0, time.monotonic() + seconds, header_block(GET_TOKEN)
    while time.monotonic() < until:
        async with _peers(target, 1) as (one,):
            while not one.closed and time.monotonic() < until:
                for _turn in range(AT_ONCE):
                    one.cancel(one.open(block))
                calls += AT_ONCE
                with contextlib.suppress(ConnectionError):
                    await one.writer.drain()
                await asyncio.sleep(0)
    return calls


async def _on_one(target: str, _: str, seconds: float) -> int:
    return await half_open(target, seconds, 1)


async def _on_a_hundred(target: str, _: str, seconds: float) -> int:
    return await half_open(target, seconds, 100)


ALL: Final[Mapping[str, WireFlood]] = {
    "half-open calls on one connection": _on_one,
    "half-open calls on a hundred connections": _on_a_hundred,
    "nameless watches of health": _watches,
    "rapid resets": rapid_resets,
}
AT_PROBES: Final[Mapping[str, WireFlood]] = {"nameless watches at the port for probes": _watches}
"""Whose target is `health_listen`."""
SWIFT: Final = (ALL.keys() | AT_PROBES.keys()) - {"rapid resets"}
"""Those during which other callers are answered within a second."""
