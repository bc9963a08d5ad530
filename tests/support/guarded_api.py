"""An HTTP API behind tokens: a real server on loopback that answers 401 to every token but the good ones."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class GuardedApi:
    """`good` holds the accepted Authorization values; `seen` what came, oldest first: (Authorization, body)."""

    def __init__(self, *good: str) -> None:
        self.good = set(good)
        self.seen: list[tuple[str, bytes]] = []
        self.redirect_to = ""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self._body()
                header = self.headers.get("Authorization", "")
                api.seen.append((header, body))
                if api.redirect_to:
                    self.send_response(307)
                    self.send_header("Location", api.redirect_to)
                else:
                    self.send_response(200 if header in api.good else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", "0")))
                parts = b""
                while size := int(self.rfile.readline(), 16):
                    parts += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return parts

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: a request line is of no use in a test's output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/orders"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
