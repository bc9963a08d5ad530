"""A connection to an HTTP server: how much of what comes is read, and when it is read no more."""

import asyncio
from typing import Final, Protocol

from aiohttp import web, web_protocol
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from mintonce_server.web.peers import address_of, peer_of

MAX_REQUEST: Final = 64 * 1024
"""Bytes of one request as it comes, with what surrounds its chunks."""
SLICE: Final = 16 * 1024
"""Bytes that are read in one go."""

_INVALID: Final = b"\0"
"""No head may have it."""


class Owner(Protocol):
    """The listener.

    Attributes:
        max_head: bytes of the request line and all headers.
    """

    @property
    def max_head(self) -> int: ...

    def opened(self, connection: "Connection") -> None:
        """It is there, after the TLS handshake."""
        ...

    def lost(self, connection: "Connection") -> None:
        """It has ended, or is about to."""
        ...

    def unreadable(self, *, too_large: bool) -> web.StreamResponse:
        """The answer to what cannot be read. It ends the connection."""
        ...


class Connection(web_protocol.RequestHandler):
    """One connection. A request that cannot be read is neither logged nor repeated: it may hold a secret."""

    __slots__ = ("address", "began_at", "is_spoiled", "is_too_large", "listener", "peer", "received")

    listener: Owner
    address: str
    """The peer's IP address, "" at a Unix socket."""
    peer: str
    """See peers.peer_of."""
    began_at: float
    received: int
    """Bytes that have come since the last answer."""
    is_spoiled: bool
    """What came cannot be read. Nothing more is: the parser would find each byte of it to be another error."""
    is_too_large: bool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.address, self.peer = address_of(transport), peer_of(transport)
        self.received, self.is_spoiled, self.is_too_large = 0, False, False
        self.listener.opened(self)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # Each read of a body calls it. Only after a pause is there anything to go on with.
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        if len(data) <= SLICE and not self.is_spoiled:
            self._feed(data)
            return
        for start in range(0, len(data) or 1, SLICE):
            if self.is_spoiled:
                return
            self._feed(data[start : start + SLICE])

    def _feed(self, data: bytes) -> None:
        super().data_received(data)
        self.received += len(data)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._spoil()
        elif self._bodies():
            if self.received > MAX_REQUEST:
                self._spoil()
        elif self._messages or self._current_request is not None:
            self.received = 0
        # The parser's limits are for one header. All of them together are kept, too, until the last one is there.
        elif self.received > self.listener.max_head:
            self.is_too_large = True
            super().data_received(_INVALID)
            self._spoil()

    def _bodies(self) -> list[StreamReader]:
        """Those without their end."""
        bodies = [payload for _, payload in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        return [body for body in bodies if not body.is_eof()]

    def _spoil(self) -> None:
        """Read no more. A body that is being read will have no end."""
        self.is_spoiled = True
        for body in self._bodies():
            body.set_exception(web_protocol.RequestPayloadError("it cannot be read"))

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.listener.lost(self)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        return self.listener.unreadable(too_large=self.is_too_large or isinstance(exc, LineTooLong))


def connection_of(request: web.BaseRequest) -> Connection:
    """The one that it came by."""
    connection = request.protocol
    assert isinstance(connection, Connection)  # noqa: S101 - for type checkers
    return connection
