"""Pages for people and monitors: by path, to be read only."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from mintonce_server.common.clock import Clock
from mintonce_server.common.network import is_loopback
from mintonce_server.core.errors import MintonceError, PermissionDenied, Unauthenticated
from mintonce_server.core.text import visible
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import Quiet
from mintonce_server.web.listener import ListenerLimits

LIMITS: Final = ListenerLimits(connections=64, per_address=64, idle_seconds=30.0, head=8192, headers=64)
ANSWER_SECONDS: Final = 30.0
READ_ONLY: Final = ("GET", "HEAD")

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "mintonce",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CHALLENGES: Final = 'Bearer, Basic realm="mintonce", charset="UTF-8"'

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Answers a request. May raise MintonceError: Unauthenticated becomes 401, PermissionDenied 403, any other one 503."""


class Pages:
    """A Site.

    Args:
        routes: handlers by path.
        hosts: names that a request may be for, lower case, without port. An answer to any other name could be read by a
            web page whose owner lets its name point here (DNS rebinding). IP addresses and localhost are always
            allowed. None: any name, as on a Unix socket.
    """

    headers: Mapping[str, str] = _HEADERS

    def __init__(self, routes: Mapping[str, Handler], clock: Clock, hosts: Callable[[], frozenset[str]] | None) -> None:
        self._routes = dict(routes)
        self._quiet = Quiet(clock)
        self._hosts = hosts

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._is_for_us(request.headers.get("Host", "")):
            return _text(421, "This server has another name. Use a name of its certificate, or its IP address.")
        handler = self._routes.get(request.path)
        if handler is None:
            return _text(404, f"There is no such page. There are: {', '.join(sorted(self._routes))}.")
        if request.method not in READ_ONLY:
            return _text(405, "Only GET and HEAD.", {"Allow": ", ".join(READ_ONLY)})
        if request.can_read_body:
            return _text(413, "A request here has no body.", {"Connection": "close"})
        async with asyncio.timeout(ANSWER_SECONDS):
            return await handler(request)

    def failed(self, request: web.BaseRequest, error: Exception) -> web.StreamResponse:
        match error:
            case Unauthenticated():
                return _text(401, f"{error}. {error.remedy}", {"WWW-Authenticate": _CHALLENGES})
            case PermissionDenied():
                return _text(403, f"{error}. {error.remedy}")
            case MintonceError():
                return _text(503, f"{error}. {error.remedy_for_callers}")
            case _:
                if (left_out := self._quiet.more(type(error).__name__)) is not None:
                    get_logger(__name__).error("internal_error", where="http", exc_info=error, left_out=left_out)
                return _text(500, "Internal error. Look into the server's log.")

    def unreadable(self, *, too_large: bool) -> web.StreamResponse:
        return _text(431, "The headers are too large.") if too_large else _text(400, "The request cannot be read.")

    def _is_for_us(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]").lower().rstrip(".")
        return self._hosts is None or is_loopback(name) or name in self._hosts() or _is_address(name)


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{visible(text)}\n", headers=headers)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
