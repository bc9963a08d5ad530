"""Makes calls with grpcio and measures them: request bytes in, response bytes out, the same work for each method."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from grpc import aio

from bench.programs import CLIENT, Program
from mintonce.v1 import tokens_pb2, types_pb2

GET_TOKEN: Final = "/mintonce.v1.TokenService/GetToken"
SCOPES: Final = ("orders:read", "orders:write")
CALL_DEADLINE: Final = 10.0
CONNECTIONS: Final = 4

Call = Callable[[], Awaitable[object]]
T = TypeVar("T")


class Caller:
    """Calls one method of one server, on a few connections in turn."""

    def __init__(self, channels: Sequence[aio.Channel], method: str) -> None:
        self._methods: list[aio.UnaryUnaryMultiCallable[bytes, bytes]] = [one.unary_unary(method) for one in channels]
        self._next = 0

    async def __call__(self, request: bytes) -> bytes:
        """Raises grpc.RpcError."""
        self._next = (self._next + 1) % len(self._methods)
        return await self._methods[self._next](request, timeout=CALL_DEADLINE, wait_for_ready=True)


@asynccontextmanager
async def calling(program: Program, method: str = GET_TOKEN) -> AsyncGenerator[Caller]:
    """The connections are closed with the block."""
    alone = [("grpc.use_local_subchannel_pool", 1)]  # else all channels share one connection
    channels = [
        aio.secure_channel(program.target, program.credentials, alone)
        if program.credentials
        else aio.insecure_channel(program.target, alone)
        for _ in range(CONNECTIONS)
    ]
    try:
        yield Caller(channels, method)
    finally:
        for channel in channels:
            await channel.close()


def request(audience: str) -> bytes:
    """A GetTokenRequest."""
    return tokens_pb2.GetTokenRequest(
        key=types_pb2.TokenKey(client=CLIENT, audience=audience, scopes=SCOPES)
    ).SerializeToString()


def fresh_audience() -> str:
    """A key that was never asked for."""
    return f"https://api-{secrets.token_hex(8)}.example.com/"


def numbered_audience(number: int) -> str:
    """A key by its number."""
    return f"https://api-{number:07}.example.com/"


async def all_of(caller: Callable[[bytes], Awaitable[bytes]], requests: Iterable[bytes], under_way: int) -> float:
    """Calls with all these requests, so many at a time. Returns the seconds this took."""
    left = iter(requests)

    async def worker() -> None:
        for one in left:
            await caller(one)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as workers:
        for _ in range(under_way):
            workers.create_task(worker())
    return time.perf_counter() - began


async def timed(call: Call) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


def in_turn(subjects: Sequence[T], number: int) -> Sequence[T]:
    """Alternates the order by round (A B C, C B A, …), so that a machine that slows down favours no subject."""
    return subjects if number % 2 else subjects[::-1]
