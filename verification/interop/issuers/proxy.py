"""A counting HTTP proxy before a server: it passes everything on, and notes what was asked and what was answered."""

import http.client
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, cast

TIMEOUT: Final = 30.0
_OF_ONE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. The body of a success may hold a token, so the repr leaves bodies out."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class CountingProxy:
    """Listens on loopback while `start`ed. `port` stays the same over a `stop`.

    Attributes:
        upstream: the port to pass requests on to.
        exchanges: all so far.
    """

    def __init__(self) -> None:
        self.upstream = 0
        self.exchanges: list[Exchange] = []
        self._server = _Server(("127.0.0.1", 0), self)
        self.port: Final[int] = self._server.server_port
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    def posts(self) -> list[Exchange]:
        """The token requests so far."""
        return [exchange for exchange in self.exchanges if exchange.method == "POST"]

    def start(self) -> None:
        """Listen. After a `stop`: on the same port again."""
        if self._server.socket.fileno() == -1:
            self._server = _Server(("127.0.0.1", self.port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._thread = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], proxy: CountingProxy) -> None:
        super().__init__(address, _Handler)
        self.proxy = proxy


class _Handler(BaseHTTPRequestHandler):
    # One request a connection: an outage then has no connections left from before.
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: paths may hold what is secret."""

    def _pass_on(self) -> None:
        proxy = cast(_Server, self.server).proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name: text for name, text in self.headers.items() if name.lower() != "connection"}
        upstream = http.client.HTTPConnection("127.0.0.1", proxy.upstream, timeout=TIMEOUT)
        try:
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        proxy.exchanges.append(Exchange(self.command, self.path, answer.status, dict(answer.getheaders()), content))
        self.send_response_only(answer.status, answer.reason)
        for name, text in answer.getheaders():
            if name.lower() not in _OF_ONE_CONNECTION:
                self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def counting_proxy() -> Generator[CountingProxy]:
    """One that listens until the end of the block."""
    proxy = CountingProxy()
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
