"""The baseline of a mint: what the libraries alone cost. `python -m bench.bare_mint`, a process of its own.

One grpcio method that makes the same round trips as a mint in the same order, by the plain clients of redis-py and
httpx on uvloop: two SETs, the POST, two more SETs, one line of log. No lease, no deadline, no second attempt, no check
of any answer, no seal. Prints where it listens, and ends on SIGTERM.
"""

import asyncio
import json
import os
import sys
from typing import Any, Final, Protocol, cast

import grpc
import httpx
import uvloop
from grpc import aio
from redis.asyncio import Redis

from mintonce.v1 import tokens_pb2, types_pb2

SERVICE: Final = "mintonce.bench.v1.Bench"
METHOD: Final = f"/{SERVICE}/BareMint"
NOTE: Final = "n" * 200
"""About the size of what a mint writes beside the token."""
LIFETIME_MS: Final = 3_600_000

Context = aio.ServicerContext[Any, Any]


class _Client(Protocol):
    """What is used of redis-py's client, with the types that it leaves open."""

    async def set(self, name: str, value: str, *, px: int) -> object: ...


async def serve(redis_url: str, token_url: str, credentials: dict[str, str]) -> None:
    """Until the process is terminated. `credentials`: of the POST's body."""
    # redis-py leaves the types of its **kwargs open.
    redis = Redis.from_url(redis_url, protocol=2, socket_timeout=5.0)
    store = cast(_Client, redis)

    async def mint(request: tokens_pb2.GetTokenRequest, context: Context) -> tokens_pb2.GetTokenResponse:
        audience = request.key.audience
        for number in range(2):
            await store.set(f"bare:{audience}:{number}", NOTE, px=LIFETIME_MS)
        answer = await http.post(token_url, json={**credentials, "audience": audience})
        token = str(answer.raise_for_status().json()["access_token"])
        for number in range(2):
            await store.set(f"bare:{audience}:{number}", token, px=LIFETIME_MS)
        print(json.dumps({"event": "minted", "audience": audience}), file=sys.stderr, flush=True)
        return tokens_pb2.GetTokenResponse(token=types_pb2.Token(access_token=token, generation=1))

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "BareMint": grpc.unary_unary_rpc_method_handler(
            mint, tokens_pb2.GetTokenRequest.FromString, tokens_pb2.GetTokenResponse.SerializeToString
        )
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        server = aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        server.add_registered_method_handlers(SERVICE, handlers)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"127.0.0.1:{port}", flush=True)
        await server.wait_for_termination()


if __name__ == "__main__":
    settings = json.loads(os.environ["BENCH_MINT"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings["redis_url"], settings["token_url"], settings["credentials"]))
