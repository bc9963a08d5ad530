"""The server under measurement, a process of its own: Mintonce's server, and methods beside it that do nothing.

Prints where it listens, and ends when its stdin does.
"""

import asyncio
import sys
import time
from typing import Any

import grpc
from grpc.aio import ServicerContext

from bench.methods import AUDIENCE, CLIENT, CPU, EMPTY, SAME_BYTES, SCOPES, TOKEN_CHARACTERS
from mintonce.v1 import tokens_pb2
from mintonce_server.api.convert import token_message
from mintonce_server.api.options import ServerOptions
from mintonce_server.api.server import Server
from mintonce_server.core.broker import Broker, BrokerOptions
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.events import Event
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Clock
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted
from mintonce_server.observability.clock import SystemClock
from mintonce_server.store.memory import MemoryStore

OPTIONS = BrokerOptions(
    mint_deadline=10.0,
    min_rotation_interval=30.0,
    revalidate_within=5.0,
    mint_in_outage=True,
    max_keys_per_client=1_000_000,
)

Context = ServicerContext[Any, Any]


class OneDay:
    """An issuer whose tokens last a day, as those of the contract do: the key stays hot."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def proof(self) -> str:
        return "the only one"

    async def mint(self, key: TokenKey) -> Minted:
        return Minted(Secret("t" * TOKEN_CHARACTERS), "Bearer", 86_400.0, self._clock.monotonic(), key.scopes)


class MeasuredServer(Server):
    """The product's server, unchanged, with one service more on the same grpc.aio server.

    The empty methods stand for what gRPC itself costs, so they do what generated code makes every method do.
    """

    def __init__(self, broker: Broker, clock: Clock, options: ServerOptions, same_bytes: bytes) -> None:
        super().__init__(broker, clock, options)
        nothing = tokens_pb2.GetTokenResponse()

        async def empty(request: tokens_pb2.GetTokenRequest, context: Context) -> tokens_pb2.GetTokenResponse:
            return nothing

        async def same(request: tokens_pb2.GetTokenRequest, context: Context) -> bytes:
            return same_bytes

        async def cpu(request: bytes, context: Context) -> bytes:
            return str(time.process_time_ns()).encode()

        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            EMPTY: grpc.unary_unary_rpc_method_handler(
                empty, tokens_pb2.GetTokenRequest.FromString, tokens_pb2.GetTokenResponse.SerializeToString
            ),
            SAME_BYTES: grpc.unary_unary_rpc_method_handler(same, tokens_pb2.GetTokenRequest.FromString),
            CPU: grpc.unary_unary_rpc_method_handler(cpu),
        }
        self._main.methods.by_name.update(handlers)


async def serve() -> None:
    """Until the end of stdin: whoever started this process need not be there to end it."""
    clock = SystemClock()
    events: list[Event] = []
    clients = Clients([OAuthClient(CLIENT, OneDay(clock))])
    broker = Broker(MemoryStore(KeyHasher(b"bench"), clock), clients, clock, events.append, OPTIONS)
    served = await broker.get(TokenKey.of(CLIENT, AUDIENCE, SCOPES), 0.0, deadline=5.0)
    answer = tokens_pb2.GetTokenResponse(token=token_message(served, clock.monotonic()))
    server = MeasuredServer(broker, clock, ServerOptions("127.0.0.1:0"), answer.SerializeToString())
    target = server.bind()
    await server.start()
    tasks = [asyncio.create_task(task) for task in broker.tasks()]
    print(target, flush=True)
    try:
        await asyncio.to_thread(sys.stdin.buffer.read)
    finally:
        await server.stop(grace=0.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(serve())
