"""grpc.health.v1, for load balancers and probes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2

from mintonce_server.api.health import Health
from support.house import House

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ["", "readiness", "mintonce.v1.TokenService", "mintonce.v1.AdminService"]
DEADLINE = 10.0


@pytest_asyncio.fixture
async def channel(replica: House) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(replica.target) as opened:
        yield opened


def asked(service: str) -> bytes:
    return health_pb2.HealthCheckRequest(service=service).SerializeToString()


def parsed(data: bytes) -> health_pb2.HealthCheckResponse:
    return health_pb2.HealthCheckResponse.FromString(data)


async def check(channel: grpc.aio.Channel, service: str) -> int:
    # Not by HealthStub: the published types know none of its methods.
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
    return parsed(await method(asked(service), timeout=DEADLINE)).status


async def watch(channel: grpc.aio.Channel, service: str) -> AsyncGenerator[int]:
    method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/grpc.health.v1.Health/Watch")
    call = method(asked(service), timeout=DEADLINE)
    try:
        async for answer in call:
            yield parsed(answer).status
    finally:
        call.cancel()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_watch_of_health_ends_with_the_drain(replica: House, channel: grpc.aio.Channel, service: str) -> None:
    """It says NOT_SERVING first. Left open, it would hold the server up for all of its grace."""
    states = watch(channel, service)
    assert await anext(states) == SERVING
    await replica.server.drain()
    assert [state async for state in states] == [NOT_SERVING]
    async with asyncio.timeout(5.0):
        await replica.server.stop(grace=30.0)


@pytest.mark.parametrize("service", SERVICES)
async def test_the_whole_server_and_each_service_can_be_asked(channel: grpc.aio.Channel, service: str) -> None:
    """They share one fate."""
    assert await check(channel, service) == SERVING


async def test_a_draining_server_is_alive_though_not_ready(replica: House, channel: grpc.aio.Channel) -> None:
    """A liveness probe must not kill what is just finishing its calls; nor does its watch hold the server up."""
    states = watch(channel, "liveness")
    assert await anext(states) == SERVING
    await replica.server.drain()
    assert [state async for state in states] == []
    assert await check(channel, "liveness") == SERVING
    assert await check(channel, "readiness") == NOT_SERVING


async def test_a_server_that_starts_is_alive_before_it_is_ready() -> None:
    """Readiness waits until every address is served."""
    health = Health(["a.Service"])
    states = {name: health.response(name).status for name in ("liveness", "readiness", "", "a.Service", "another")}
    assert states == {
        "liveness": SERVING,
        "readiness": NOT_SERVING,
        "": NOT_SERVING,
        "a.Service": NOT_SERVING,
        "another": health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
    }
    health.start()
    assert health.response("readiness").status == SERVING


async def test_a_service_that_is_not_here_is_unknown(channel: grpc.aio.Channel) -> None:
    """NOT_FOUND for a question, SERVICE_UNKNOWN for a watch, as grpc.health.v1 has it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(channel, "mintonce.v1.Nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    states = watch(channel, "mintonce.v1.Nothing")
    assert await anext(states) == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    await states.aclose()
