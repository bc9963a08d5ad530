"""The HTTP server. It shares the event loop with the service, so each answer is short and bounded."""

import asyncio
import ipaddress
import logging
import os
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import HttpVersion10, http_parser, web, web_protocol

from mintonce_server.common.clock import Clock
from mintonce_server.common.network import is_loopback
from mintonce_server.core.errors import MintonceError, PermissionDenied, Unauthenticated
from mintonce_server.core.text import visible
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import Quiet
from mintonce_server.web.handshakes import TlsDoor

MAX_CONNECTIONS: Final = 64
"""When there are more, the one that has waited longest for its peer is closed; if each has a request in work, the new
one."""
IDLE_SECONDS: Final = 30.0
"""A connection without a complete request head for so long is closed."""
HANDSHAKE_SECONDS: Final = 5.0
"""For TLS. Until it is done, a connection does not count here, but in web/handshakes.py."""
REQUEST_SECONDS: Final = 30.0
"""For one answer."""
MAX_LINE: Final = 4096
MAX_HEADERS: Final = 64

READ_ONLY: Final = ("GET", "HEAD")

SAFE: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "mintonce",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of each answer, unless a handler sets its own."""

_SILENT: Final = logging.Logger("mintonce.http", logging.CRITICAL + 1)  # noqa: LOG001 - one that no configuration reaches
"""For aiohttp, which logs what peers sent. What happens in handlers is logged here."""

_CHALLENGES: Final = 'Bearer, Basic realm="mintonce", charset="UTF-8"'

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Answers a request. May raise MintonceError: Unauthenticated becomes 401, PermissionDenied 403, any other one 503."""


class _Connection(web_protocol.RequestHandler):
    """One connection. A request that cannot be read is neither logged nor repeated: it may hold a secret.

    `opened`, `lost`: called when it is there, after the TLS handshake, and when it has ended.
    """

    opened: Callable[["_Connection"], None]
    lost: Callable[["_Connection"], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.lost(self)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        answer = _safe(_text(status, "The request cannot be read." if status < 500 else "Internal error."))
        answer.force_close()
        return answer


class WebListener:
    """One address. `routes`: handlers by path.

    `hosts`: names that a request may be for, lower case, without port. An answer to any other name could be read by a
    web page whose owner lets its name point here (DNS rebinding). IP addresses and localhost are always allowed.
    """

    def __init__(
        self,
        listen: str,
        routes: Mapping[str, Handler],
        clock: Clock,
        *,
        socket_mode: int,
        context: ssl.SSLContext | None = None,
        hosts: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
            raise RuntimeError("aiohttp is here without its C parser: install a wheel of aiohttp for this platform")
        self._listen = listen
        self._routes = dict(routes)
        self._clock = clock
        self._quiet = Quiet(clock)
        self._socket_mode = socket_mode
        self._context = context
        self._hosts = hosts
        self._open: set[web_protocol.RequestHandler] = set()
        self._idle: OrderedDict[web_protocol.RequestHandler, None] = OrderedDict()
        """Those of them without a request in work, the one that has been so longest first."""
        self._door: TlsDoor | None = None
        self._server: asyncio.Server | None = None
        self._web: web.Server | None = None

    async def start(self) -> str:
        """Answer requests. Returns the URL, as people open it. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._web = web.Server(self._answer)
        if self._listen.startswith("unix:"):
            path = self._listen.removeprefix("unix:")
            before = os.umask(0o177)  # this user only until the mode is right
            try:
                self._server = await loop.create_unix_server(self._protocol, path)
            finally:
                os.umask(before)
            os.chmod(path, self._socket_mode)
            return self._listen
        host, _, port = self._listen.rpartition(":")
        if self._context is not None:
            self._door = TlsDoor(self._context, HANDSHAKE_SECONDS, self._protocol)
            return f"https://{host}:{await self._door.listen(host.strip('[]'), int(port))}"
        self._server = await loop.create_server(self._protocol, host.strip("[]"), int(port))
        port = self._server.sockets[0].getsockname()[1]
        return f"http://{host}:{port}"

    async def stop(self, grace: float) -> None:
        """Take no new requests; let those under way finish within `grace` seconds."""
        if self._web is None:
            return
        if self._server is not None:
            self._server.close()
        if self._door is not None:
            await self._door.stop()
        self._web.pre_shutdown()
        await self._web.shutdown(grace)

    def _protocol(self) -> web_protocol.RequestHandler:
        assert self._web is not None  # noqa: S101 - for type checkers
        connection = _Connection(
            self._web,
            loop=asyncio.get_running_loop(),
            logger=_SILENT,
            access_log=_SILENT,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
            lingering_time=1.0,
        )
        connection.opened, connection.lost = self._opened, self._lost
        return connection

    def _opened(self, connection: web_protocol.RequestHandler) -> None:
        self._open.add(connection)
        if len(self._open) > MAX_CONNECTIONS:
            surplus = next(iter(self._idle), connection)
            self._lost(surplus)
            surplus.force_close()
        if connection in self._open:
            self._idle[connection] = None

    def _lost(self, connection: web_protocol.RequestHandler) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._idle.pop(request.protocol, None)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await self._handle(request)
        except Exception as error:  # noqa: BLE001 - the last line: nothing of an error's own reaches the caller
            answer = self._failed(error)
        finally:
            if request.protocol in self._open:
                self._idle[request.protocol] = None
        return _safe(answer)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.version < HttpVersion10:
            return _text(505, "Use HTTP/1.1.", {"Connection": "close"})
        if not self._is_for_us(request.headers.get("Host", "")):
            return _text(421, "This server has another name. Use a name of its certificate, or its IP address.")
        handler = self._routes.get(request.path)
        if handler is None:
            return _text(404, f"There is no such page. There are: {', '.join(sorted(self._routes))}.")
        if request.method not in READ_ONLY:
            return _text(405, "Only GET and HEAD.", {"Allow": ", ".join(READ_ONLY)})
        if request.can_read_body:
            return _text(413, "A request here has no body.", {"Connection": "close"})
        return await handler(request)

    def _is_for_us(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]").lower().rstrip(".")
        if self._listen.startswith("unix:") or is_loopback(name) or name in self._hosts():
            return True
        return _is_address(name)

    def _failed(self, error: Exception) -> web.Response:
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


def _safe(answer: web.StreamResponse) -> web.StreamResponse:
    for name, text in SAFE.items():
        answer.headers.setdefault(name, text)
    return answer


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{visible(text)}\n", headers=headers)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
