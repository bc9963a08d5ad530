"""An HTTP API behind tokens, which answers 401 to all but the good ones."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

HOSTS: Final = ("127.0.0.1", "127.0.0.2")
"""Two hosts, for redirects from one to the other."""


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    authorization: str
    body: bytes


class Api:
    """Attributes:
    refused: Authorization values that it does not take.
    refuses_all: whether it takes none.
    accepts: a further condition.
    seen: what came, oldest first.
    redirect_to: where it sends those who come, whatever their token.
    """

    def __init__(self, host: str = HOSTS[0]) -> None:
        self.refused: set[str] = set()
        self.refuses_all = False
        self.accepts: Callable[[str], bool] = bool
        self.seen: list[Seen] = []
        self.redirect_to = ""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                header = self.headers.get("Authorization", "")
                api.seen.append(Seen(self.command, self.path, header, self._body()))
                taken = not api.refuses_all and header not in api.refused and api.accepts(header)
                answer = b"" if api.redirect_to else b"welcome" if taken else b"who are you?"
                self.send_response(307 if api.redirect_to else 200 if taken else 401)
                if api.redirect_to:
                    self.send_header("Location", api.redirect_to)
                if not taken:
                    self.send_header("WWW-Authenticate", 'Bearer error="invalid_token"')
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", "0")))
                parts = b""
                while size := int(self.rfile.readline().partition(b";")[0], 16):
                    parts += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return parts

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: a request line is of no use in a test's output."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://{host}:{self._server.server_address[1]}/orders"

    @property
    def authorizations(self) -> list[str]:
        return [seen.authorization for seen in self.seen]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
