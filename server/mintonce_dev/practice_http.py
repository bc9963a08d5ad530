"""The HTTP server of a practice issuer: standard library only, one thread per connection."""

import json
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, Final, Protocol, cast

from mintonce_dev.contract import MAX_REQUEST, TOKEN_PATH, TokenRequest

IDLE: Final = 60.0
"""Seconds after which an idle connection is closed."""

READ_AT_MOST: Final = 64 * MAX_REQUEST


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. The body may contain a token, so the repr leaves it out."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def write_to(self, file: BinaryIO, stopping: threading.Event) -> None:
        """Send the body. `stopping` is set when the server is closed."""
        file.write(self.body)


class Pages(Protocol):
    """The handler of requests."""

    def token(self, request: TokenRequest) -> Reply | None:
        """POST /oauth/token. May block; None: close the connection without an answer."""
        ...

    def other(self, method: str, path: str, body: bytes) -> Reply:
        """All other requests."""
        ...


class PracticeServer(ThreadingHTTPServer):
    """Closes its connections when it is closed, so that its threads end."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.pages = pages
        self._open: set[socket.socket] = set()
        self._hung_up = False
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which resolves the host's name: slow if DNS is.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def hang_up(self) -> None:
        """Close all connections, including those that are just being accepted."""
        self.stopping.set()
        with self._lock:
            self._hung_up = True
            for connection in self._open:
                _shut(connection)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
            if self._hung_up:
                _shut(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Does not report disconnected callers."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the peer closed it first
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "practice-issuer"
    sys_version = ""
    timeout = IDLE
    wbufsize = -1  # buffered: an answer is sent at once

    def setup(self) -> None:
        super().setup()
        self._practice = cast("PracticeServer", self.server)
        self._practice.opened(self.connection)

    def finish(self) -> None:
        self._practice.closed(self.connection)
        super().finish()

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            self._send(Reply(411, b'{"error":"invalid_request","error_description":"send a Content-Length"}'))
            return
        if self.path != TOKEN_PATH:
            self._send(self._practice.pages.other("POST", self.path, body))
            return
        reply = self._practice.pages.token(TokenRequest(self.headers.get("Content-Type", ""), body))
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply)

    def _do_other(self) -> None:
        self._send(self._practice.pages.other(self.command, self.path, self._body() or b""))

    do_GET = _do_other  # noqa: N815 - the base class looks for these names
    do_HEAD = _do_other  # noqa: N815 - as above
    do_PUT = _do_other  # noqa: N815 - as above
    do_DELETE = _do_other  # noqa: N815 - as above

    def _body(self) -> bytes | None:
        """None without a Content-Length. Of a body that is far too large, only the beginning."""
        text = self.headers.get("Content-Length", "0" if self.command != "POST" else "")
        if not (text.isascii() and text.isdigit()):
            self.close_connection = True
            return None
        length = int(text)
        # A body slightly over the limit is read completely: closing earlier could reset the connection first.
        if length > READ_AT_MOST:
            self.close_connection = True
        return self.rfile.read(min(length, READ_AT_MOST))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, text in reply.headers.items():
            self.send_header(name, text)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            reply.write_to(cast("BinaryIO", self.wfile), self._practice.stopping)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr: the POST log records it."""


def error_reply(status: int, error: str, description: str) -> Reply:
    """An error as in RFC 6749, section 5.2."""
    return Reply(status, json.dumps({"error": error, "error_description": description}).encode())
