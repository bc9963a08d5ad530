"""The gRPC server: what listens, with which limits, and how it stops."""

from dataclasses import dataclass

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from mintonce_server.core.broker import Broker
from mintonce_server.core.ports import Clock
from mintonce_server.rpc.health import Health
from mintonce_server.rpc.service import AdminService, TokenService

TOKEN_SERVICE = tokens_pb2.DESCRIPTOR.services_by_name["TokenService"].full_name
ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`listen`: host:port, with 0 for any free port, or unix:/path. Sizes in bytes."""

    listen: str
    reflection: bool = False
    so_reuseport: bool = False
    max_message_bytes: int = 64 * 1024
    max_metadata_bytes: int = 16 * 1024
    max_concurrent_rpcs: int | None = None


class Server:
    """Serves a broker from `start` to `stop`."""

    def __init__(self, broker: Broker, clock: Clock, options: ServerOptions) -> None:
        self._options = options
        self._health = Health((TOKEN_SERVICE, ADMIN_SERVICE))
        self._server = aio.server(
            maximum_concurrent_rpcs=options.max_concurrent_rpcs,
            options=[
                ("grpc.max_receive_message_length", options.max_message_bytes),
                ("grpc.max_metadata_size", options.max_metadata_bytes),
                ("grpc.so_reuseport", int(options.so_reuseport)),
                # Watches are long and silent: a client's pings must not count as an attack.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        tokens_pb2_grpc.add_TokenServiceServicer_to_server(TokenService(broker, clock), self._server)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(AdminService(broker, clock), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if options.reflection:
            names = (TOKEN_SERVICE, ADMIN_SERVICE, HEALTH_SERVICE, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    def bind(self) -> str:
        """Take the address; what callers dial. Raises OSError when it is taken."""
        listen = self._options.listen
        try:
            port = self._server.add_insecure_port(listen)
        except RuntimeError as error:  # what grpcio raises for every reason
            raise OSError(f"cannot listen on {listen}: is it in use, or not an address of this machine?") from error
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    async def start(self) -> None:
        """Answer calls."""
        await self._server.start()
        self._health.start()

    async def drain(self) -> None:
        """Say to load balancers that this replica is going."""
        self._health.drain()

    async def stop(self, grace: float) -> None:
        """Take no new calls; let those under way finish within `grace` seconds."""
        await self._server.stop(grace)
