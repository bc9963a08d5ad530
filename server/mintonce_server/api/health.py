"""grpc.health.v1 for load balancers and probes.

grpc_health's own servicer leaves watches open in the drain: one of them would hold the server up for all of its grace.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from mintonce_server.api.status import StatusError
from mintonce_server.calls.call import Call

Response = health_pb2.HealthCheckResponse

HEALTH_SERVICE: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

READINESS: Final = "readiness"
"""Whether to send calls here. The same as "" and each service of the server."""
LIVENESS: Final = "liveness"
"""Whether the process works. An unreachable store or issuer is no reason to restart it, and a drain is none."""

_GRPC: Final[Any] = grpc  # the published types of handlers require type arguments that grpc itself does not take


class Health:
    """LIVENESS serves as long as this process answers; all other services between `start` and `drain`."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", READINESS, LIVENESS, *services))
        self._serving = False
        self._draining = False
        self._changed = asyncio.Event()

    def handlers(self) -> dict[str, Any]:
        """The methods that are served, by name: not `List`, which newer versions of grpc.health.v1 have."""
        read, write = health_pb2.HealthCheckRequest.FromString, Response.SerializeToString
        return {
            "Check": _GRPC.unary_unary_rpc_method_handler(self.Check, read, write),
            "Watch": _GRPC.unary_stream_rpc_method_handler(self.Watch, read, write),
        }

    def start(self) -> None:
        """From now on, SERVING."""
        self._serving = True
        self._notify()

    def drain(self) -> None:
        """NOT_SERVING, and the end of every watch."""
        self._serving, self._draining = False, True
        self._notify()

    async def Check(self, request: health_pb2.HealthCheckRequest, call: Call) -> Response:
        """NOT_FOUND for a service that is not here."""
        call.must_be_received()
        if request.service not in self._services:
            raise StatusError(grpc.StatusCode.NOT_FOUND, "no such service")
        return self.response(request.service)

    async def Watch(self, request: health_pb2.HealthCheckRequest, call: Call) -> AsyncGenerator[Response, None]:
        """The state, and each change of it until the drain. SERVICE_UNKNOWN for a service that is not here."""
        call.must_be_received()
        last = None
        while True:
            # As it is now: the drain may begin while the answer is on its way, and must still be said.
            changed, draining, response = self._changed, self._draining, self.response(request.service)
            if response.status != last:
                last = response.status
                yield response
            if draining:
                return
            await changed.wait()

    def response(self, service: str) -> Response:
        """The state as it is now."""
        if service not in self._services:
            return Response(status=Response.SERVICE_UNKNOWN)
        serving = self._serving or service == LIVENESS
        return Response(status=Response.SERVING if serving else Response.NOT_SERVING)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
