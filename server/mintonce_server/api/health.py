"""grpc.health.v1 for load balancers and probes.

grpc_health's own servicer leaves watches open in the drain: one of them would hold the server up for all of its grace.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mintonce_server.api.arrival import arrival
from mintonce_server.api.calls import streaming, unary
from mintonce_server.api.context import Context

Response = health_pb2.HealthCheckResponse

READINESS: Final = "readiness"
"""Whether to send calls here. The same as "" and each service of the server."""
LIVENESS: Final = "liveness"
"""Whether the process works. A store or an issuer that is out of reach is no reason to restart it, nor is a drain."""


class Health(health_pb2_grpc.HealthServicer):
    """LIVENESS serves as long as this process answers; all other services between `start` and `drain`."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", READINESS, LIVENESS, *services))
        self._serving = False
        self._draining = False
        self._news = asyncio.Event()

    def start(self) -> None:
        """From now on, SERVING."""
        self._serving = True
        self._tell()

    def drain(self) -> None:
        """NOT_SERVING, and the end of every watch."""
        self._serving, self._draining = False, True
        self._tell()

    @unary
    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> Response:
        """NOT_FOUND for a service that is not here."""
        _check_received()
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self.response(request.service)

    @streaming
    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> AsyncGenerator[Response, None]:
        """The state, and each change of it until the drain. SERVICE_UNKNOWN for a service that is not here."""
        _check_received()
        last = None
        while True:
            # As it is now: the drain may begin while the answer is on its way, and must still be said.
            news, draining, response = self._news, self._draining, self.response(request.service)
            if response.status != last:
                last = response.status
                yield response
            if draining:
                return
            await news.wait()

    def response(self, service: str) -> Response:
        """The state as it is now."""
        if service not in self._services:
            return Response(status=Response.SERVICE_UNKNOWN)
        serving = self._serving or service == LIVENESS
        return Response(status=Response.SERVING if serving else Response.NOT_SERVING)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _check_received() -> None:
    if (refusal := arrival().refusal) is not None:
        raise refusal
