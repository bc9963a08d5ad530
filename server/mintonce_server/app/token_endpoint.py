"""The token endpoint of a service, from its settings."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from mintonce_server.api.options import MAX_WASTED_CALLS
from mintonce_server.calls.admission import Admission, AdmissionLimits, WastedCalls
from mintonce_server.calls.tokens import TokenCalls
from mintonce_server.common.clock import Clock
from mintonce_server.config import Settings
from mintonce_server.observability.call_meter import CallMeter
from mintonce_server.reload.access import AccessFiles

if TYPE_CHECKING:
    from mintonce_server.web.listener import WebListener
    from mintonce_server.web.token_endpoint.endpoint import EndpointOptions

BODY_SECONDS: Final = 10.0


class TokenEndpoint:
    """Between `start` and `stop`, if `token_endpoint.listen` is set."""

    def __init__(
        self, settings: Settings, files: AccessFiles, calls: TokenCalls, clock: Clock, meter: CallMeter
    ) -> None:
        self._listener = _listener(settings, files, calls, clock, meter) if settings.token_endpoint.listen else None

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[dict[str, str]]:
        """Answer requests until the block is left. Gives its URL, if there is one. Raises OSError when it is taken."""
        if self._listener is None:
            yield {}
            return
        try:
            yield {"token_endpoint": await self._listener.start()}
        finally:
            await self._listener.stop(0.0)

    async def stop(self, grace: float) -> None:
        """Take no new requests; let those under way finish within `grace` seconds."""
        if self._listener is not None:
            await self._listener.stop(grace)


def endpoint_options(settings: Settings) -> "EndpointOptions":
    """For the endpoint."""
    from mintonce_server.web.token_endpoint.endpoint import EndpointOptions
    from mintonce_server.web.token_endpoint.wanted import Registered

    chosen, clients = settings.token_endpoint, settings.clients
    uses = Counter(client.client_id for client in clients.values())
    return EndpointOptions(
        deadline=chosen.deadline,
        body_seconds=BODY_SECONDS,
        min_ttl=chosen.min_ttl,
        registered=Registered(
            known=frozenset(clients),
            names={client.client_id: name for name, client in clients.items() if uses[client.client_id] == 1},
            default_audiences={name: one.default_audience for name, one in clients.items() if one.default_audience},
        ),
        failed_proofs_per_second=chosen.failed_proofs_per_second,
        revocation=chosen.revocation,
        public_url=chosen.public_url,
    )


def _listener(
    settings: Settings, files: AccessFiles, calls: TokenCalls, clock: Clock, meter: CallMeter
) -> "WebListener":
    # Only here: a server without this port, and every other command, need not load aiohttp.
    from mintonce_server.web.listener import ListenerLimits, WebListener
    from mintonce_server.web.tls import server_context
    from mintonce_server.web.token_endpoint.endpoint import TokenSite

    listen, limits = settings.token_endpoint.listen, settings.limits
    assert listen is not None  # noqa: S101 - for type checkers
    # Closes none: failed proofs are limited for each address, and connections by the listener.
    wasted = WastedCalls(MAX_WASTED_CALLS, clock, lambda _: ())
    admission = Admission(
        calls.authorizer, AdmissionLimits(limits.max_concurrent_rpcs, limits.message_timeout), wasted, clock
    )
    most = settings.token_endpoint.max_connections
    tls = None if listen.startswith("unix:") else files.tls
    return WebListener(
        listen,
        TokenSite(calls, admission, endpoint_options(settings), clock, meter),
        clock,
        ListenerLimits(
            connections=most,
            per_address=max(1, most // 4),
            idle_seconds=60.0,
            head=16 * 1024,
            headers=100,
            connection_age=limits.max_connection_age,
        ),
        socket_mode=int(settings.socket_mode, 8),
        context=server_context(tls) if tls else None,
    )
