"""An HTTP server with a `/status.json` that a test chooses, in a thread: programs of their own ask it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from mintonce_server.core.status import StatusSnapshot, as_json
from support.snapshots import busy


class StatusServer:
    """A context manager.

    Attributes:
        snapshot: what is answered.
        status: of the answer.
        body: the text that is answered instead, if there is one.
        asked: the paths of all requests, with their queries.
        authorization: what the last request showed.
    """

    def __init__(self) -> None:
        self.snapshot: StatusSnapshot = busy()
        self.status = 200
        self.body: str | None = None
        self.asked: list[str] = []
        self.authorization: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.authorization = self.headers.get("Authorization")
                body = (outer.body or json.dumps(as_json(outer.snapshot))).encode()
                self.send_response(outer.status)
                self.send_header("Location", outer.url)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
