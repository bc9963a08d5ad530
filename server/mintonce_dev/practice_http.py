"""The HTTP server of a practice issuer: aiohttp, in a thread with an event loop of its own."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Iterable, Mapping
from typing import Final

from aiohttp import http_exceptions, web
from aiohttp.typedefs import Handler

from mintonce_dev.contract import MAX_REQUEST, TOKEN_PATH

IDLE: Final = 60.0
"""Seconds after which an idle connection is closed. A body must arrive within them, too."""
GRACE: Final = 0.02
"""Seconds for answers under way when the server stops. Those that hang never end by themselves."""
BACKLOG: Final = 1024
"""Connections that wait to be accepted."""

_SAFE: Final = {"Cache-Control": "no-store", "Server": "practice-issuer", "X-Content-Type-Options": "nosniff"}


class PracticeServer:
    """Listens when it is made; answers from `start` to `stop`. All handlers share one event loop: none may block."""

    def __init__(self, host: str, port: int, routes: Iterable[web.RouteDef]) -> None:
        """Raises OSError if the port is not available."""
        self._app = web.Application(middlewares=[_errors_as_json])
        self._app.on_response_prepare.append(_add_headers)
        self._app.add_routes(routes)
        family, dual = socket.AF_INET, False
        if ":" in host:
            family, dual = socket.AF_INET6, socket.has_dualstack_ipv6()
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual)
        bound, port = self._socket.getsockname()[:2]
        self.url: Final = f"http://{f'[{bound}]' if ':' in bound else bound}:{port}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="practice-issuer")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close all connections, with or without an answer. May be called again."""
        self._stopping.set()
        self._thread.join()

    async def _serve(self) -> None:
        runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=_logger(),
            keepalive_timeout=IDLE,
            shutdown_timeout=GRACE,
            auto_decompress=False,
        )
        await runner.setup()
        await web.SockSite(runner, self._socket, backlog=BACKLOG).start()
        await asyncio.to_thread(self._stopping.wait)
        await runner.cleanup()


def json_reply(status: int, answer: Mapping[str, object], headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    body = json.dumps(answer).encode()
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def error_reply(status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as in RFC 6749, section 5.2."""
    return json_reply(status, {"error": error, "error_description": description}, headers)


async def read_beginning(request: web.Request) -> bytes:
    """The body. Of one that is too large, a part that is too large as well.

    The rest is read and dropped: closing earlier could reset the connection before the caller reads the answer.
    """
    body = b""
    async with asyncio.timeout(IDLE):
        async for part in request.content.iter_any():
            if len(body) <= MAX_REQUEST:
                body += part
    return body


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        name = "not_found" if error.status == 404 else "invalid_request"
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_reply(error.status, name, f"there is only POST {TOKEN_PATH}, GET / and GET /posts", allow)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_SAFE)


def _logger() -> logging.Logger:
    """Reports errors of handlers, but neither disconnected callers nor requests that are no HTTP."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (ConnectionError, http_exceptions.HttpProcessingError))
