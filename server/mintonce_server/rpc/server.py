"""The gRPC server: what listens, with which limits, and how it stops."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from mintonce_server.core.broker import Broker
from mintonce_server.core.ports import Clock
from mintonce_server.rpc.decoding import Decoding
from mintonce_server.rpc.gate import OPEN_GUARDS, Gate, Guards
from mintonce_server.rpc.health import Health
from mintonce_server.rpc.listening import listen_on
from mintonce_server.rpc.service import AdminService, TokenService
from mintonce_server.rpc.tls import TlsMaterial, server_credentials

TOKEN_SERVICE = tokens_pb2.DESCRIPTOR.services_by_name["TokenService"].full_name
ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

HANDSHAKE_SECONDS = 10
"""Within which a connection must have said what it is: whoever sends a byte a second holds it no longer."""
IDLE_SECONDS = 900
GRACE_SECONDS = 30
"""What a call under way gets when its connection has reached its age."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to listen.

    Attributes:
        listen: host:port, with 0 for any free port, or unix:/path.
        bearer_listen: as `listen`, for callers that show no certificate.
        health_listen: as `listen`, in clear, for probes only.
        socket_mode: who may reach a Unix socket.
        tls: the certificates as they are now. None: in clear.
        max_message_bytes, max_metadata_bytes: bytes.
        handshake_seconds, idle_seconds: what a connection gets to say what it is, and to stay without a call.
        max_connection_age: seconds; None: for ever.
    """

    listen: str
    bearer_listen: str | None = None
    health_listen: str | None = None
    socket_mode: int = 0o600
    tls: Callable[[], TlsMaterial] | None = None
    reflection: bool = False
    so_reuseport: bool = False
    max_message_bytes: int = 64 * 1024
    max_metadata_bytes: int = 16 * 1024
    max_concurrent_rpcs: int | None = None
    max_connection_age: float | None = None
    handshake_seconds: float = HANDSHAKE_SECONDS
    idle_seconds: float = IDLE_SECONDS


class Server:
    """Serves a broker from `start` to `stop`."""

    def __init__(self, broker: Broker, clock: Clock, options: ServerOptions, guards: Guards = OPEN_GUARDS) -> None:
        self._options = options
        self._health = Health((TOKEN_SERVICE, ADMIN_SERVICE))
        self._server = aio.server(
            maximum_concurrent_rpcs=options.max_concurrent_rpcs, options=_channel_options(options)
        )
        self._probed = aio.server(maximum_concurrent_rpcs=100, options=_channel_options(options))
        gate = Gate(guards, clock, broker.key_hash)
        services = cast("aio.Server", Decoding(self._server))
        tokens_pb2_grpc.add_TokenServiceServicer_to_server(TokenService(broker, clock, gate), services)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(AdminService(broker, clock, gate), services)
        for server in (self._server, self._probed):
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if options.reflection:
            names = (TOKEN_SERVICE, ADMIN_SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    def bind(self) -> str:
        """Take the addresses; the one of `listen` that callers dial. Raises OSError when one is taken."""
        options = self._options
        self.health_address = self._bind(self._probed, options.health_listen, None)
        self.bearer_address = self._bind(self._server, options.bearer_listen, self._credentials(certificates=False))
        address = self._bind(self._server, options.listen, self._credentials(certificates=True))
        assert address is not None  # noqa: S101 - for type checkers: `listen` is never None
        return address

    async def start(self) -> None:
        """Answer calls."""
        await self._server.start()
        await self._probed.start()
        self._health.start()

    async def drain(self) -> None:
        """Say to load balancers that this replica is going."""
        self._health.drain()

    async def stop(self, grace: float) -> None:
        """Take no new calls; let those under way finish within `grace` seconds."""
        await self._server.stop(grace)
        await self._probed.stop(0.0)

    def _credentials(self, *, certificates: bool) -> grpc.ServerCredentials | None:
        if self._options.tls is None:
            return None
        asked = certificates and self._options.tls().client_ca is not None
        return server_credentials(self._options.tls, ask_for_certificate=asked)

    def _bind(self, server: aio.Server, listen: str | None, tls: grpc.ServerCredentials | None) -> str | None:
        return None if listen is None else listen_on(server, listen, tls, self._options.socket_mode)


def _channel_options(options: ServerOptions) -> list[tuple[str, Any]]:
    chosen: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_metadata_size", options.max_metadata_bytes),
        # Beyond the soft limit requests may be refused at random: only the hard one is meant.
        ("grpc.absolute_max_metadata_size", options.max_metadata_bytes),
        ("grpc.so_reuseport", int(options.so_reuseport)),
        # Watches are long and silent: a client's pings must not count as an attack.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.server_handshake_timeout_ms", int(options.handshake_seconds * 1000)),
        ("grpc.max_connection_idle_ms", int(options.idle_seconds * 1000)),
        # Callers that vanished without a word are noticed, and their watches ended.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
    if options.max_connection_age is not None:
        chosen.append(("grpc.max_connection_age_ms", int(options.max_connection_age * 1000)))
        chosen.append(("grpc.max_connection_age_grace_ms", GRACE_SECONDS * 1000))
    return chosen
