"""An HTTP request as a transport of a call: see calls.call.Transport."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from aiohttp import web

from mintonce_server.common.clock import Clock
from mintonce_server.core.secret import Secret
from mintonce_server.web.peers import certificates_of

_PASSED_ON = ("x-request-id", "traceparent", "tracestate")


class HttpTransport:
    """`proof`: of who calls, wherever it stood in the request. `ends_at`: when the answer must be there, monotonic."""

    via: ClassVar[str] = "http"

    def __init__(self, request: web.BaseRequest, peer: str, proof: Secret | None, ends_at: float, clock: Clock) -> None:
        self.peer = peer
        self._request = request
        self._proof = proof
        self._ends_at = ends_at
        self._clock = clock
        self._at_end: list[Callable[[object], None]] = []

    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """As gRPC has it: the proof as `authorization: Bearer`, and what goes into logs and traces."""
        headers = self._request.headers
        found: list[tuple[str, str | bytes]] = [(name, headers[name]) for name in _PASSED_ON if name in headers]
        if self._proof is not None:
            found.append(("authorization", f"Bearer {self._proof.reveal()}"))
        return found

    def certificates(self) -> tuple[bytes | None, bytes]:
        return certificates_of(self._request)

    def seconds_left(self) -> float | None:
        return self._ends_at - self._clock.monotonic()

    def on_end(self, callback: Callable[[object], None]) -> None:
        self._at_end.append(callback)

    def release(self) -> None:
        """Nothing is held beyond the request."""

    async def read(self) -> bytes | None:
        """The message has been read before."""
        return b""

    def end(self) -> None:
        """The answer is made."""
        for callback in self._at_end:
            callback(self)
        self._at_end.clear()  # they refer to the call, and that to this: no cycle is left for the garbage collector
