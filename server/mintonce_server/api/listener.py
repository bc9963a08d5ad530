"""One address with a gRPC server of its own, so that load at another address takes nothing from it."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final, cast

import grpc
from grpc import aio

from mintonce_server.api.connections import Connections
from mintonce_server.api.health import HEALTH_SERVICE, Health
from mintonce_server.api.options import ServerOptions, channel_options
from mintonce_server.api.transport import Methods, Registry
from mintonce_server.calls.admission import Admission, AdmissionLimits, Authenticator, WastedCalls
from mintonce_server.common.clock import Clock
from mintonce_server.common.network import network_of_peer
from mintonce_server.core.supervise import Start
from mintonce_server.observability.call_meter import CallMeter
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import Quiet

MAX_NAMED: Final = 5
"""Networks in a log line."""


class Listener:
    """From `bind` to `stop`. Answers grpc.health.v1.

    Attributes:
        services: add services here whose callers must be known.
        open_services: add services here that need no identity.
    """

    def __init__(
        self,
        listen: str,
        options: ServerOptions,
        clock: Clock,
        authenticator: Authenticator | None,
        names: Collection[str],
        meter: CallMeter,
    ) -> None:
        self._server = aio.server(options=channel_options(options))
        self.health = Health(names)
        self._listen = listen
        self._socket_mode = options.socket_mode
        self._connections = Connections(clock)
        self._quiet = Quiet(clock)
        self._closed = 0
        limits = AdmissionLimits(options.max_concurrent_rpcs, options.message_timeout)
        wasted = WastedCalls(options.max_wasted_calls, clock, self._close)
        guarded = Admission(authenticator, limits, wasted, clock)
        open_to_all = Admission(None, limits, wasted, clock)
        self._admissions = {"guarded": guarded, "open to all": open_to_all}
        self.methods = Methods(open_to_all, meter)
        self.services = cast("aio.Server", Registry(self.methods, guarded, meter))
        self.open_services = cast("aio.Server", Registry(self.methods, open_to_all, meter))
        self.open_services.add_registered_method_handlers(HEALTH_SERVICE, self.health.handlers())

    def bind(self, tls: grpc.ServerCredentials | None) -> str:
        """Take the address. Raises OSError when it is taken."""
        self._server.add_generic_rpc_handlers((self.methods,))
        address = _listen_on(self._server, self._listen, tls, self._socket_mode)
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
        return {name: admission.sweep for name, admission in self._admissions.items()}

    def _close(self, peers: Collection[str]) -> Collection[str]:
        closed = self._connections.close(peers)
        self._closed += len(closed)
        if closed and (left_out := self._quiet.more("connections_closed")) is not None:
            self._log_closed(closed, left_out)
        return closed

    def _log_closed(self, closed: Collection[str], left_out: int) -> None:
        get_logger(__name__).warning(
            "connections_closed",
            listen=self._listen,
            count=self._closed,
            networks=sorted({network_of_peer(peer) for peer in closed})[:MAX_NAMED],
            detail="they made too many calls without an identity or a message",
            left_out=left_out,
        )
        self._closed = 0


def _listen_on(server: aio.Server, listen: str, tls: grpc.ServerCredentials | None, socket_mode: int) -> str:
    """The address that callers dial. A Unix socket is in clear: its mode decides who reaches it. Raises OSError."""
    if listen.startswith("unix:"):
        # This user only until the mode is right: the umask counts between bind and chmod.
        before = os.umask(0o177)
        try:
            _add_port(server, listen, None)
        finally:
            os.umask(before)
        Path(listen.removeprefix("unix:")).chmod(socket_mode)
        return listen
    return f"{listen.rpartition(':')[0]}:{_add_port(server, listen, tls)}"


def _add_port(server: aio.Server, listen: str, tls: grpc.ServerCredentials | None) -> int:
    try:
        return server.add_insecure_port(listen) if tls is None else server.add_secure_port(listen, tls)
    except RuntimeError as error:  # what grpcio raises for every reason
        raise OSError(f"cannot listen on {listen}: is it in use, or not an address of this machine?") from error
