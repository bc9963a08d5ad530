"""An HTTP server: connections and their limits. It shares the event loop with the service: each answer is bounded."""

import asyncio
import logging
import os
import ssl
from collections import Counter, OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from aiohttp import HttpVersion11, http_parser, web, web_protocol
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from mintonce_server.common.clock import Clock
from mintonce_server.web.answers import Answer, Ready
from mintonce_server.web.connection import Connection, connection_of
from mintonce_server.web.handshakes import TlsServer
from mintonce_server.web.pace import Pace
from mintonce_server.web.strictness import head_size, is_unambiguous

HANDSHAKE_SECONDS: Final = 10.0
"""For TLS. A Java program on a busy machine takes more than 5 for its first one. Until it is done, a connection does
not count here, but in web/handshakes.py."""
LATE_SECONDS: Final = 2.0
"""For requests that are still coming when the server stops."""
LOOK_SECONDS: Final = 0.02
READY: Final = 200
"""Answers with this status have no header that came from a caller."""
MOMENT_SECONDS: Final = 0.05
"""For aiohttp, to which 0 is no limit."""
EXPECTS_CONTINUE: Final = "100-continue"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_UNREADABLE: Final = web_protocol.ERROR
"""Stands for a request that no site gets. Its method is one that the parser lets no peer send."""
_TOO_LARGE: Final = _UNREADABLE._replace(path="/too-large")

_SILENT: Final = logging.Logger("mintonce.http", logging.CRITICAL + 1)  # noqa: LOG001 - one that no configuration reaches
"""For aiohttp, which logs what peers sent. What happens in handlers is logged here."""


SiteAnswer = Answer | web.StreamResponse


class Site(Protocol):
    """What a listener serves.

    Attributes:
        headers: of each answer, unless the answer has its own.
    """

    headers: Mapping[str, str]

    async def answer(self, request: web.BaseRequest) -> SiteAnswer:
        """Must end by itself. Whatever it raises becomes an answer by `failed`."""
        ...

    def failed(self, request: web.BaseRequest, error: Exception) -> SiteAnswer:
        """The answer to a request that ended with this error."""
        ...

    def unreadable(self, *, too_large: bool) -> SiteAnswer:
        """The answer to what is no request, could be read in two ways, or has too large a head."""
        ...


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """For one address.

    Attributes:
        connections: when there are more, the one that has waited longest for its peer is closed; if each has a request
            in work, the new one.
        per_address: the same, of one IP address. Unix sockets have none.
        idle_seconds: a connection without a complete request head for so long is closed.
        head: bytes of the request line and all headers.
        headers: the number of them.
        connection_age: a connection this old is closed after its next answer. None: never.
    """

    connections: int
    per_address: int
    idle_seconds: float
    head: int
    headers: int
    connection_age: float | None = None


class WebListener:
    """One address. `context`: of TLS; None: in clear."""

    def __init__(
        self,
        listen: str,
        site: Site,
        clock: Clock,
        limits: ListenerLimits,
        *,
        socket_mode: int,
        context: ssl.SSLContext | None = None,
    ) -> None:
        if http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
            raise RuntimeError("aiohttp is here without its C parser: install a wheel of aiohttp for this platform")
        self._listen = listen
        self._site = site
        self._clock = clock
        self._limits = limits
        self._socket_mode = socket_mode
        self._context = context
        self._open: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        """Those of them without a request in work, the one that has been so longest first."""
        self._by_address: Counter[str] = Counter()
        self._at_work: set[asyncio.Task[object]] = set()
        """One for each request, also after its peer has left."""
        self._tls_server: TlsServer | None = None
        self._server: asyncio.Server | None = None
        self._socket: tuple[str, int] | None = None
        """Path and inode of the Unix socket."""
        self._web: web.Server | None = None
        self._is_closing = False
        self._pace = Pace()

    async def start(self) -> str:
        """Answer requests. Returns the URL, as people open it. Raises OSError when the address is taken."""
        self._web = web.Server(self._answer, request_factory=self._request)
        try:
            return await self._start()
        except OSError as error:
            text = f"cannot listen on {self._listen}: is it in use, or not an address of this machine?"
            raise OSError(text) from error

    async def _start(self) -> str:
        loop = asyncio.get_running_loop()
        if self._listen.startswith("unix:"):
            path = self._listen.removeprefix("unix:")
            before = os.umask(0o177)  # this user only until the mode is right
            try:
                self._server = await loop.create_unix_server(self._protocol, path)
            finally:
                os.umask(before)
            os.chmod(path, self._socket_mode)
            self._socket = path, os.stat(path).st_ino
            return self._listen
        host, _, port = self._listen.rpartition(":")
        if self._context is not None:
            self._tls_server = TlsServer(self._context, HANDSHAKE_SECONDS, self._protocol)
            return f"https://{host}:{await self._tls_server.start(host.strip('[]'), int(port))}"
        self._server = await loop.create_server(self._protocol, host.strip("[]"), int(port))
        port = self._server.sockets[0].getsockname()[1]
        return f"http://{host}:{port}"

    async def stop(self, grace: float) -> None:
        """Take no new requests; let those under way finish within `grace` seconds."""
        if self._web is None:
            return
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            _remove(*self._socket)
        if self._tls_server is not None:
            await self._tls_server.stop()
        for connection in [one for one in self._idle if not one.received]:
            connection.force_close()
        await self._finish(grace)
        for task in (late := list(self._at_work)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._web.shutdown(min(max(grace, MOMENT_SECONDS), 1.0))

    @property
    def max_head(self) -> int:
        return self._limits.head

    def unreadable(self, *, too_large: bool) -> web.StreamResponse:
        """For a connection: see Site. It ends."""
        answer = self._made(self._site.unreadable(too_large=too_large))
        answer.force_close()
        return answer

    def opened(self, connection: Connection) -> None:
        """It is there, after the TLS handshake."""
        connection.began_at = self._clock.monotonic()
        self._open.add(connection)
        if connection.address:
            self._by_address[connection.address] += 1
        if len(self._open) > self._limits.connections:
            self._close_one(next(iter(self._idle), connection))
        elif self._by_address[connection.address] > self._limits.per_address:
            theirs = (other for other in self._idle if other.address == connection.address)
            self._close_one(next(theirs, connection))
        if connection in self._open:
            self._idle[connection] = None

    def lost(self, connection: Connection) -> None:
        """It has ended, or is about to."""
        self._idle.pop(connection, None)
        if connection not in self._open:
            return
        self._open.discard(connection)
        if connection.address:
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def _close_one(self, connection: Connection) -> None:
        """Its descriptor is free at once: an end by TLS would wait for the peer."""
        transport = connection.transport
        self.lost(connection)
        connection.force_close()
        if transport is not None:
            transport.abort()

    def _waits_no_more(self, connection: Connection) -> None:
        """Its request has come to the end: from now on its peer waits for us."""
        self._idle.pop(connection, None)

    async def _finish(self, grace: float) -> None:
        """Wait for requests in work, and a moment for those that are still coming."""
        now = self._clock.monotonic()
        ends_at, last_at = now + grace, now + min(grace, LATE_SECONDS)
        while (now := self._clock.monotonic()) < ends_at:
            in_work = any(connection not in self._idle for connection in self._open)
            coming = now < last_at and any(connection.received for connection in self._open)
            if not in_work and not coming:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _protocol(self) -> web_protocol.RequestHandler:
        assert self._web is not None  # noqa: S101 - for type checkers
        connection = Connection(
            self._web,
            loop=asyncio.get_running_loop(),
            logger=_SILENT,
            access_log=_SILENT,
            keepalive_timeout=self._limits.idle_seconds,
            max_line_size=self._limits.head,
            max_field_size=self._limits.head,
            max_headers=self._limits.headers,
            lingering_time=1.0,
            auto_decompress=False,
        )
        connection.listener = self
        return connection

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web_protocol.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        if message is not _UNREADABLE:
            if head_size(message) > self._limits.head:
                message = _TOO_LARGE
            elif not is_unambiguous(message):
                message = _UNREADABLE
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = connection_of(request)
        if request.method == _UNREADABLE.method:
            return self.unreadable(too_large=request.raw_path == _TOO_LARGE.path)
        answer: SiteAnswer
        request.content.on_eof(partial(self._waits_no_more, connection))
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for type checkers
        self._at_work.add(task)
        try:
            await self._pace.step()
            answer = await self._site.answer(request)
        except web_protocol.RequestPayloadError:
            answer = self.unreadable(too_large=False)
        except Exception as error:  # noqa: BLE001 - the last line: nothing of an error's own reaches the caller
            has_gone = connection.transport is None
            answer = self.unreadable(too_large=False) if has_gone else self._site.failed(request, error)
        finally:
            self._at_work.discard(task)
            connection.received = 0
            if connection in self._open:
                self._idle[connection] = None
        age = self._limits.connection_age
        closes = answer.headers.get("Connection") == "close"
        if closes or self._is_closing or (age is not None and self._clock.monotonic() - connection.began_at > age):
            made = self._made(answer)
            made.force_close()
            return made
        may_be_ready = request.keep_alive and request.version == HttpVersion11
        if may_be_ready and isinstance(answer, Answer) and answer.status == READY:
            return Ready(answer, self._site.headers, self._clock.unix()).response()
        return self._made(answer)

    def _made(self, answer: SiteAnswer) -> web.StreamResponse:
        if isinstance(answer, Answer):
            return answer.response(self._site.headers)
        for name, text in self._site.headers.items():
            answer.headers.setdefault(name, text)
        return answer


def _remove(path: str, inode: int) -> None:
    """The socket, unless another server has put its own in the place."""
    with suppress(OSError):  # it, or its folder, may be gone
        if os.stat(path).st_ino == inode:
            os.unlink(path)
