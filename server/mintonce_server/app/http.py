"""The HTTP listener of a service, from its settings."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp.web import BaseRequest

from mintonce_server.common.clock import Clock
from mintonce_server.common.network import listens_beyond_loopback
from mintonce_server.config import Settings
from mintonce_server.core.errors import PermissionDenied
from mintonce_server.observability.metrics import Metrics
from mintonce_server.reload.access import AccessFiles
from mintonce_server.web.guard import Guard
from mintonce_server.web.listener import WebListener
from mintonce_server.web.metrics import PATH, MetricsPage
from mintonce_server.web.pages import LIMITS, Handler, Pages
from mintonce_server.web.tls import server_context

GRACE: Final = 1.0
"""Seconds for answers under way at the end."""


def http_guard(listen: str, settings: Settings, files: AccessFiles) -> Guard:
    """For pages that only administrators may see, at this address."""
    is_private = not listens_beyond_loopback(listen) or settings.tls is not None
    return Guard(files.identify, files.policy, is_private=is_private)


@asynccontextmanager
async def http_listening(
    listen: str, settings: Settings, files: AccessFiles, metrics: Metrics, clock: Clock, pages: Mapping[str, Handler]
) -> AsyncGenerator[dict[str, str]]:
    """Answer requests at this address until the block is left. Gives its URL, as `http`.

    `pages`: handlers by path, besides the metrics. Raises OSError when the address is taken.
    """
    listener = _listener(listen, settings, files, metrics, clock, pages)
    try:
        yield {"http": await listener.start()}
    finally:
        await listener.stop(GRACE)


def _listener(
    listen: str,
    settings: Settings,
    files: AccessFiles,
    metrics: Metrics,
    clock: Clock,
    pages: Mapping[str, Handler],
) -> WebListener:
    is_far = listens_beyond_loopback(listen)
    tls = files.tls if is_far else None
    is_open = not is_far or settings.http.insecure_metrics
    guard = http_guard(listen, settings, files)
    admit: Callable[[BaseRequest], object] = _everyone if is_open else _administrators(guard, settings, files)
    own = frozenset(name.lower() for name in settings.http.names)
    none: frozenset[str] = frozenset()
    hosts = None if listen.startswith("unix:") else lambda: own | (tls().names if tls else none)
    return WebListener(
        listen,
        Pages({PATH: MetricsPage(metrics, admit), **pages}, clock, hosts),
        clock,
        LIMITS,
        socket_mode=int(settings.socket_mode, 8),
        context=server_context(tls) if tls else None,
    )


def _everyone(_: BaseRequest) -> None:
    """Admits each request."""


def _administrators(guard: Guard, settings: Settings, files: AccessFiles) -> Callable[[BaseRequest], object]:
    """Admits callers who administer every client: metrics are about all of them."""

    def admit(request: BaseRequest) -> None:
        caller = guard.admin(request)
        if not all(files.policy().administers(caller.name, client) for client in settings.clients):
            raise PermissionDenied(
                "metrics are about all clients, and this caller does not administer all of them",
                remedy='Use a rule with the act admin and clients = ["*"].',
            )

    return admit
