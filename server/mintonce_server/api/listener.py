"""One address with a gRPC server of its own: what happens at another address takes nothing from it."""

from collections.abc import Collection
from typing import Final, cast

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2_grpc

from mintonce_server.api.connections import Connections
from mintonce_server.api.entrance import Doorkeeper, Entrance, EntranceLimits
from mintonce_server.api.health import Health
from mintonce_server.api.listening import listen_on
from mintonce_server.api.options import ServerOptions, channel_options
from mintonce_server.api.receiving import Methods, Receiving
from mintonce_server.api.wasted import WastedCalls
from mintonce_server.common.network import network_of_peer
from mintonce_server.core.ports import Clock
from mintonce_server.core.supervise import Start
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import Quiet

MOST_NAMED: Final = 5
"""Networks in a log line."""


class Listener:
    """From `bind` to `stop`. Answers grpc.health.v1.

    Attributes:
        services: takes services whose callers are asked who they are.
        open_services: takes services for anyone.
    """

    def __init__(
        self, listen: str, options: ServerOptions, clock: Clock, doorkeeper: Doorkeeper | None, names: Collection[str]
    ) -> None:
        self._server = aio.server(options=channel_options(options))
        self.health = Health(names)
        self._listen = listen
        self._socket_mode = options.socket_mode
        self._connections = Connections(clock)
        self._quiet = Quiet(clock)
        self._closed = 0
        limits = EntranceLimits(options.max_concurrent_rpcs, options.message_timeout)
        wasted = WastedCalls(options.max_wasted_calls, clock, self._close)
        self._entrances = [Entrance(doorkeeper, limits, wasted, clock), Entrance(None, limits, wasted, clock)]
        self.methods = Methods(self._entrances[1])
        self.services = cast("aio.Server", Receiving(self.methods, self._entrances[0]))
        self.open_services = cast("aio.Server", Receiving(self.methods, self._entrances[1]))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.open_services)

    def bind(self, tls: grpc.ServerCredentials | None) -> str:
        """Take the address. Raises OSError when it is taken."""
        self._server.add_generic_rpc_handlers((self.methods,))
        address = listen_on(self._server, self._listen, tls, self._socket_mode)
        port = address.rpartition(":")[2]
        self._connections.port = int(port) if port.isdigit() else 0
        return address

    async def start(self) -> None:
        """Answer calls. `health` says so when its own `start` is called."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Take no new calls; let those under way finish within `grace` seconds."""
        await self._server.stop(grace)

    def sweeps(self) -> dict[str, Start]:
        """Endless tasks to run while calls are answered."""
        guarded, open_to_all = self._entrances
        return {"guarded": guarded.sweep, "open to all": open_to_all.sweep}

    def _close(self, peers: Collection[str]) -> Collection[str]:
        closed = self._connections.close(peers)
        self._closed += len(closed)
        if closed and (left_out := self._quiet.more("connections_closed")) is not None:
            self._tell(closed, left_out)
        return closed

    def _tell(self, closed: Collection[str], left_out: int) -> None:
        get_logger(__name__).warning(
            "connections_closed",
            listen=self._listen,
            count=self._closed,
            networks=sorted({network_of_peer(peer) for peer in closed})[:MOST_NAMED],
            detail="they made too many calls without an identity or a message",
            left_out=left_out,
        )
        self._closed = 0
