"""Floods by one caller: each runs against a target for some seconds, and says how often it struck."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from attack import door_floods, wire_floods
from attack.wire import bearer
from grpc import aio

from mintonce.v1 import tokens_pb2, tokens_pb2_grpc, types_pb2

AUDIENCE: Final = "https://flooded.example.com/"
WORKERS: Final = 50
"""Calls under way at a time."""
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113, section 3.4."""

Flood = Callable[[str, str, float], Awaitable[int]]
"""Takes the target, the flooder's API key and the seconds that it lasts. How many calls or connections it made."""


async def _workers(strike: Callable[[int], Awaitable[object]], seconds: float) -> int:
    numbers, until = itertools.count(), time.monotonic() + seconds

    async def work() -> None:
        while time.monotonic() < until:
            with contextlib.suppress(aio.AioRpcError):  # to be turned away is what a flooder expects
                await strike(next(numbers))

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())
    return next(numbers)


async def hot_reads(target: str, key: str, seconds: float) -> int:
    """The same token again and again."""
    async with aio.insecure_channel(target) as channel:
        stub = tokens_pb2_grpc.TokenServiceStub(channel)
        request = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="default", audience=AUDIENCE))
        return await _workers(lambda _: stub.GetToken(request, timeout=5.0, metadata=(bearer(key),)), seconds)


async def invented_scopes(target: str, key: str, seconds: float) -> int:
    """Each call for a key that was never used before."""
    async with aio.insecure_channel(target) as channel:
        stub = tokens_pb2_grpc.TokenServiceStub(channel)

        def strike(number: int) -> Awaitable[object]:
            request = tokens_pb2.GetTokenRequest(
                key=types_pb2.TokenKey(client="default", audience=AUDIENCE, scopes=[f"invented-{number}"])
            )
            return stub.GetToken(request, timeout=5.0, metadata=(bearer(key),))

        return await _workers(strike, seconds)


async def rejects(target: str, key: str, seconds: float) -> int:
    """Each call says that a token was refused, of keys that do not exist either."""
    async with aio.insecure_channel(target) as channel:
        stub = tokens_pb2_grpc.TokenServiceStub(channel)

        def strike(number: int) -> Awaitable[object]:
            request = tokens_pb2.RejectTokenRequest(
                key=types_pb2.TokenKey(client="default", audience=AUDIENCE, scopes=[f"rejected-{number}"]),
                generation=2**40,
            )
            return stub.RejectToken(request, timeout=5.0, metadata=(bearer(key),))

        return await _workers(strike, seconds)


async def watches(target: str, key: str, seconds: float) -> int:
    """Watches that are opened and kept."""
    until = time.monotonic() + seconds
    opened: list[aio.UnaryStreamCall[tokens_pb2.WatchTokenRequest, tokens_pb2.WatchTokenResponse]] = []
    async with aio.insecure_channel(target) as channel:
        stub = tokens_pb2_grpc.TokenServiceStub(channel)
        while time.monotonic() < until and len(opened) < 3000:
            request = tokens_pb2.WatchTokenRequest(key=types_pb2.TokenKey(client="default", audience=AUDIENCE))
            opened += [stub.WatchToken(request, metadata=(bearer(key),)) for _ in range(50)]
            await asyncio.sleep(0.02)  # a flooder's own pace
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        for call in opened:
            call.cancel()
    return len(opened)


async def giant_messages(target: str, key: str, seconds: float) -> int:
    """A request of four megabytes, and metadata of a hundred kilobytes."""
    async with aio.insecure_channel(target, options=[("grpc.max_metadata_size", 1 << 20)]) as channel:
        stub = tokens_pb2_grpc.TokenServiceStub(channel)
        large = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="x" * (4 << 20)))
        small = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="default", audience=AUDIENCE))

        def strike(number: int) -> Awaitable[object]:
            if number % 2:
                return stub.GetToken(large, timeout=5.0, metadata=(bearer(key),))
            return stub.GetToken(small, timeout=5.0, metadata=(bearer(key), ("x-large", "y" * 100_000)))

        return await _workers(strike, seconds)


async def no_proof(target: str, key: str, seconds: float) -> int:
    """API keys that are guessed: none is accepted."""
    async with aio.insecure_channel(target) as channel:
        stub = tokens_pb2_grpc.TokenServiceStub(channel)
        request = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="default", audience=AUDIENCE))
        return await _workers(
            lambda number: stub.GetToken(request, timeout=5.0, metadata=(bearer(f"mok_{number}{key[8:]}"),)), seconds
        )


async def slow_loris(target: str, key: str, seconds: float) -> int:
    """Connections that say half of the preface, and then a byte now and then. They have no use for the key."""
    del key
    return await _sockets(target, 200, seconds, PREFACE[:12])


async def idle_connections(target: str, key: str, seconds: float) -> int:
    """Two thousand connections that say nothing at all."""
    del key
    return await _sockets(target, 2000, seconds, b"")


async def _sockets(target: str, count: int, seconds: float, start: bytes) -> int:
    """Opens so many, and feeds each a byte a second if it began to speak."""
    host, _, port = target.rpartition(":")
    until = time.monotonic() + seconds
    writers: list[asyncio.StreamWriter] = []
    try:
        while len(writers) < count and time.monotonic() < until:
            opened = [asyncio.open_connection(host, int(port)) for _ in range(100)]
            writers += [writer for _, writer in await asyncio.gather(*opened)]
        while time.monotonic() < until:
            for writer in writers:
                if start and not writer.is_closing():
                    writer.write(start)
            start = start and b"\r"
            await asyncio.sleep(min(1.0, max(0.0, until - time.monotonic())))
    finally:
        for writer in writers:
            writer.transport.abort()
    return len(writers)


ALL: Final[Mapping[str, Flood]] = {
    "hot reads": hot_reads,
    "invented scopes": invented_scopes,
    "rejections": rejects,
    "watches": watches,
    "giant messages": giant_messages,
    "guessed API keys": no_proof,
    "slow loris": slow_loris,
    "idle connections": idle_connections,
}
EACH: Final[Mapping[str, Flood]] = {**ALL, **wire_floods.ALL, **wire_floods.AT_PROBES, **door_floods.EACH}
"""Those on raw HTTP/2 and at the token endpoint, too."""


def run(name: str, target: str, key: str, seconds: float) -> int:
    """In a process of its own, so that its work is not the bystander's."""

    async def flood() -> int:
        return await EACH[name](target, key, seconds)

    return asyncio.run(flood())


def warm() -> None:
    """So that a new process has imported all of it."""
