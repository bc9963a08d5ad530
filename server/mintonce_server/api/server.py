"""The gRPC server: a listener for each address, and how all of them start and stop."""

import asyncio
from typing import Any, Final, cast

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from mintonce_server.api.health import HEALTH_SERVICE
from mintonce_server.api.listener import Listener
from mintonce_server.api.options import ServerOptions
from mintonce_server.api.service import AdminService, TokenService
from mintonce_server.api.tls import server_credentials
from mintonce_server.calls.tokens import TokenCalls
from mintonce_server.common.clock import Clock
from mintonce_server.core.broker import Broker
from mintonce_server.core.supervise import Start
from mintonce_server.core.usage import UsageCounter
from mintonce_server.observability.call_meter import CallMeter

TOKEN_SERVICE = tokens_pb2.DESCRIPTOR.services_by_name["TokenService"].full_name
ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
REFLECTION_V1ALPHA: Final = reflection.SERVICE_NAME
REFLECTION_V1: Final = REFLECTION_V1ALPHA.replace("v1alpha", "v1")
REFLECTED: Final = (TOKEN_SERVICE, ADMIN_SERVICE, HEALTH_SERVICE, REFLECTION_V1, REFLECTION_V1ALPHA)

_GRPC: Final[Any] = grpc  # the published types of handlers require type arguments that grpc itself does not take


class Server:
    """Serves a broker from `start` to `stop`."""

    def __init__(
        self,
        broker: Broker,
        calls: TokenCalls,
        clock: Clock,
        options: ServerOptions,
        meter: CallMeter | None = None,
        usage: UsageCounter | None = None,
    ) -> None:
        """`usage`: what admins may ask for. None: tokens are not counted."""
        self._options = options
        meter = meter or CallMeter()
        tokens = TokenService(calls, clock)
        admin = AdminService(broker, calls, clock, usage)

        def listener(listen: str | None) -> Listener | None:
            """For callers."""
            if listen is None:
                return None
            made = Listener(listen, options, clock, calls.authorizer, (TOKEN_SERVICE, ADMIN_SERVICE), meter)
            tokens_pb2_grpc.add_TokenServiceServicer_to_server(cast("Any", tokens), made.services)
            admin_pb2_grpc.add_AdminServiceServicer_to_server(cast("Any", admin), made.services)
            if options.reflection:
                _add_reflection(made.open_services)
            return made

        main = listener(options.listen)
        assert main is not None  # noqa: S101 - for type checkers: `listen` is never None
        self._main = main
        self._bearer = listener(options.bearer_listen)
        self._probed = (
            Listener(options.health_listen, options, clock, None, (TOKEN_SERVICE, ADMIN_SERVICE), meter)
            if options.health_listen
            else None
        )

    @property
    def _listeners(self) -> dict[str, Listener]:
        """By their settings, which differ where two addresses are the same text: both may have port 0."""
        made = {"listen": self._main, "bearer_listen": self._bearer, "health_listen": self._probed}
        return {name: one for name, one in made.items() if one is not None}

    def bind(self) -> str:
        """Take the addresses. Returns the one of `listen`, as callers dial it. Raises OSError when one is taken."""
        self.health_address = self._probed.bind(None) if self._probed else None
        self.bearer_address = self._bearer.bind(self._credentials(certificates=False)) if self._bearer else None
        return self._main.bind(self._credentials(certificates=True))

    @property
    def further_addresses(self) -> dict[str, str]:
        """All but `listen`, by the names of their settings."""
        both = {"bearer_listen": self.bearer_address, "health_listen": self.health_address}
        return {name: address for name, address in both.items() if address is not None}

    async def start(self) -> None:
        """Answer calls. Ready once all addresses do; the one for probes comes first, so that it can say "not yet"."""
        for listener in reversed(self._listeners.values()):
            await listener.start()
        for listener in self._listeners.values():
            listener.health.start()

    async def drain(self) -> None:
        """Tell load balancers that this replica is shutting down."""
        for listener in self._listeners.values():
            listener.health.drain()

    async def stop(self, grace: float) -> None:
        """Take no new calls; let those under way finish within `grace` seconds."""
        callers = [listener for listener in (self._main, self._bearer) if listener is not None]
        await asyncio.gather(*(listener.stop(grace) for listener in callers))
        if self._probed is not None:
            await self._probed.stop(0.0)

    def endless(self) -> dict[str, Start]:
        """Tasks to run while calls are answered, by name."""
        return {
            f"late calls at {name}, {kind}": sweep
            for name, listener in self._listeners.items()
            for kind, sweep in listener.sweeps().items()
        }

    def _credentials(self, *, certificates: bool) -> grpc.ServerCredentials | None:
        if self._options.tls is None:
            return None
        asked = certificates and self._options.tls().client_ca is not None
        return server_credentials(self._options.tls, ask_for_certificate=asked)


def _add_reflection(server: aio.Server) -> None:
    """Serve grpc.reflection.v1, and v1alpha for older tools.

    grpcio-reflection has v1alpha only. The messages of v1 are the same but for the name of their package.
    """
    _add_descriptors_of_v1()
    servicer: Any = reflection.aio.ReflectionServicer(REFLECTED)
    handler = _GRPC.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (REFLECTION_V1, REFLECTION_V1ALPHA):
        server.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})


def _add_descriptors_of_v1() -> None:
    """Into the default pool, where reflection looks for what it shows."""
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("reflection.v1alpha", "reflection.v1")
    v1 = text_format.Parse(text.replace("reflection/v1alpha", "reflection/v1"), FileDescriptorProto())
    pool: Any = descriptor_pool.Default()
    pool.AddSerializedFile(v1.SerializeToString())
