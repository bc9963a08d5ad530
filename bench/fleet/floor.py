"""The least that this machine allows: calls held by a bare grpc.aio server, released by one message of the store.

`python -m bench.fleet.floor`: prints where it listens; ends on SIGTERM. It does nothing of what the product does
beside: no question to the store, no key, no token, one response made for all.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol, cast

import grpc
from grpc import aio
from redis.asyncio import Redis

from bench.fleet.methods import FLOOR, FOLLOWED, HELD, RELEASE_CHANNEL
from bench.methods import TOKEN_CHARACTERS
from mintonce.v1 import tokens_pb2, types_pb2

Context = aio.ServicerContext[Any, Any]


class _PubSub(Protocol):
    """What is used of redis-py's subscriber, with the types that it leaves open."""

    async def subscribe(self, *channels: str) -> None: ...
    def listen(self) -> AsyncIterator[dict[str, object]]: ...


class Floor:
    """Holds calls until the next release."""

    def __init__(self) -> None:
        self._bytes = _answer(0)
        self._released = asyncio.Event()

    def release(self, number: int) -> None:
        self._bytes = _answer(number)
        self._released.set()
        self._released = asyncio.Event()

    async def held(self, request: tokens_pb2.GetTokenRequest, context: Context) -> bytes:
        await self._released.wait()
        return self._bytes

    async def followed(self, request: tokens_pb2.WatchTokenRequest, context: Context) -> AsyncGenerator[bytes]:
        while True:
            released = self._released
            yield self._bytes
            await released.wait()


def _answer(number: int) -> bytes:
    token = types_pb2.Token(access_token="t" * TOKEN_CHARACTERS, token_type="Bearer", generation=number)
    return tokens_pb2.GetTokenResponse(token=token).SerializeToString()


async def serve(url: str) -> None:
    """Until it is killed."""
    floor, server = Floor(), aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        _name(HELD): grpc.unary_unary_rpc_method_handler(floor.held, tokens_pb2.GetTokenRequest.FromString),
        _name(FOLLOWED): grpc.unary_stream_rpc_method_handler(floor.followed, tokens_pb2.WatchTokenRequest.FromString),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(FLOOR, handlers),))
    server.add_registered_method_handlers(FLOOR, handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType] - redis-py: **kwargs untyped
    pubsub = cast(_PubSub, redis.pubsub())  # pyright: ignore[reportUnknownMemberType] - as above
    await pubsub.subscribe(RELEASE_CHANNEL)
    async for message in pubsub.listen():
        if message["type"] == "subscribe":
            print(f"127.0.0.1:{port}", flush=True)
        elif isinstance(data := message["data"], bytes):
            floor.release(int(data.split()[-1]))


def _name(method: str) -> str:
    return method.rpartition("/")[2]


if __name__ == "__main__":
    asyncio.run(serve(os.environ["BENCH_REDIS_URL"]))
