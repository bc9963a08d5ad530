"""Calls of programs that send trace context, and replicas that record them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from grpc import aio

from mintonce.v1 import tokens_pb2, tokens_pb2_grpc, types_pb2
from mintonce_server.common.clock import SystemClock
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.store_meter import PrometheusStoreMeter
from support.house import AUDIENCE, CLIENT, HASHER, House, house
from support.options import redis_store
from support.traces import SAMPLED, Recorder

Start = Callable[..., AbstractAsyncContextManager[House]]
"""(recorder, token_url=that of the fixture's issuer, propagate_trace=False) → a replica whose spans are recorded."""
Metadata = tuple[tuple[str, str], ...]

GET: Final = "mintonce.v1.TokenService/GetToken"
WATCH: Final = "mintonce.v1.TokenService/WatchToken"


async def get(target: str, audience: str = AUDIENCE, metadata: Metadata = ()) -> tokens_pb2.GetTokenResponse:
    """A call of any program, with this metadata."""
    async with aio.insecure_channel(target) as channel:
        stub = tokens_pb2_grpc.TokenServiceStub(channel)
        request = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=audience))
        answer: tokens_pb2.GetTokenResponse = await stub.GetToken(request, metadata=metadata, timeout=10.0)
        return answer


def sampled(context: str = SAMPLED) -> Metadata:
    """Metadata of a caller that records."""
    return (("traceparent", context),)


def starting(redis_url: str, issuer_url: str) -> Start:
    """Starts replicas on this store."""

    @asynccontextmanager
    async def started(
        recorder: Recorder, token_url: str = issuer_url, *, propagate_trace: bool = False
    ) -> AsyncGenerator[House]:
        clock = SystemClock()
        meter = PrometheusStoreMeter(Metrics([CLIENT]), clock)
        meter.trace = recorder.traces.operation
        store = redis_store(redis_url, hasher=HASHER, clock=clock, deadline=5.0, meter=meter)
        try:
            async with house(
                token_url, store=store, clock=clock, traces=recorder.traces, propagate_trace=propagate_trace
            ) as running:
                yield running
        finally:
            await store.close()

    return started
