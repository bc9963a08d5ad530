"""The gRPC server: a listener for each address, and how all of them start and stop."""

import asyncio

import grpc
from grpc_health.v1 import health_pb2

from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc
from mintonce_server.api.authorize import OPEN_GUARDS, Gate, Guards
from mintonce_server.api.listener import Listener
from mintonce_server.api.options import ServerOptions
from mintonce_server.api.reflection import add_reflection
from mintonce_server.api.service import AdminService, TokenService
from mintonce_server.api.tls import server_credentials
from mintonce_server.core.broker import Broker
from mintonce_server.core.ports import Clock
from mintonce_server.core.supervise import Start

TOKEN_SERVICE = tokens_pb2.DESCRIPTOR.services_by_name["TokenService"].full_name
ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTED = (TOKEN_SERVICE, ADMIN_SERVICE, HEALTH_SERVICE)


class Server:
    """Serves a broker from `start` to `stop`."""

    def __init__(self, broker: Broker, clock: Clock, options: ServerOptions, guards: Guards = OPEN_GUARDS) -> None:
        self._options = options
        gate = Gate(guards, clock, broker.key_hash)
        tokens, admin = TokenService(broker, clock, gate), AdminService(broker, clock, gate)

        def listener(listen: str | None) -> Listener | None:
            """For callers."""
            if listen is None:
                return None
            made = Listener(listen, options, clock, gate, (TOKEN_SERVICE, ADMIN_SERVICE))
            tokens_pb2_grpc.add_TokenServiceServicer_to_server(tokens, made.services)
            admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, made.services)
            if options.reflection:
                add_reflection(made.open_services, REFLECTED)
            return made

        main = listener(options.listen)
        assert main is not None  # noqa: S101 - for type checkers: `listen` is never None
        self._main = main
        self._bearer = listener(options.bearer_listen)
        self._probed = (
            Listener(options.health_listen, options, clock, None, (TOKEN_SERVICE, ADMIN_SERVICE))
            if options.health_listen
            else None
        )

    @property
    def _listeners(self) -> dict[str, Listener]:
        """By their settings, which differ where two addresses are the same text: both may have port 0."""
        made = {"listen": self._main, "bearer_listen": self._bearer, "health_listen": self._probed}
        return {name: one for name, one in made.items() if one is not None}

    def bind(self) -> str:
        """Take the addresses; the one of `listen` that callers dial. Raises OSError when one is taken."""
        self.health_address = self._probed.bind(None) if self._probed else None
        self.bearer_address = self._bearer.bind(self._credentials(certificates=False)) if self._bearer else None
        return self._main.bind(self._credentials(certificates=True))

    @property
    def further_addresses(self) -> dict[str, str]:
        """Those beside `listen`, by the names of their settings."""
        both = {"bearer_listen": self.bearer_address, "health_listen": self.health_address}
        return {name: address for name, address in both.items() if address is not None}

    async def start(self) -> None:
        """Answer calls. Ready once all addresses do; the one for probes comes first, so that it can say "not yet"."""
        for listener in reversed(self._listeners.values()):
            await listener.start()
        for listener in self._listeners.values():
            listener.health.start()

    async def drain(self) -> None:
        """Say to load balancers that this replica is going."""
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
