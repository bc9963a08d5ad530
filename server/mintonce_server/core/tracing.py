"""What the parts tell a tracer. The only one is observability/traces.py; `None` in its place means: no traces."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self, TypeVar

from mintonce_server.core.key import TokenKey

T = TypeVar("T")


class FlightSpan(AbstractContextManager["FlightSpan"], Protocol):
    """Recorded from its creation until its `with` block ends. An exception that leaves the block is its error."""

    def join(self) -> None:
        """Link it to the span of this task, and that one to it."""
        ...


class Tracer(Protocol):
    """For the engine."""

    def flight(self, key_hash: str, client: str, cause: str) -> FlightSpan:
        """One fetch of a key: a trace of its own, linked to the span of this task."""
        ...

    def refresh(self, key_hash: str, client: str, lag: float) -> AbstractContextManager[object]:
        """A refresh that begins `lag` seconds after it was due: a trace of its own."""
        ...


class RequestSpan(Protocol):
    """One HTTP request, until its `with` block ends."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: BaseException | None, at: object, /) -> None: ...

    def headers(self) -> Mapping[str, str]:
        """Trace context to send along; nothing if the issuer must not see any."""
        ...

    def answered(self, status: int, request_id: str) -> None:
        """The answer's status, and what the issuer calls this exchange, "" if it does not say."""
        ...


class RequestTracer(Protocol):
    """For requests to one issuer."""

    def request(self, method: str, url: str) -> RequestSpan:
        """A child of this task's span; recorded only if that one is."""
        ...


class CallSpan(Protocol):
    """One call. Recorded from its first moment if its caller records it; otherwise once `begin` is called."""

    def begin(self) -> None:
        """The call does more than read memory: from now on it is the span of this task."""
        ...

    def served(self, client: str, origin: str, degraded: bool, generation: int) -> None:
        """A token is handed out. That ends the span of a watch."""
        ...

    def end(self, code: str, reason: str, client: str) -> None:
        """The call has ended with this gRPC code. `reason`: of a failure; `client`: of its key, if it is known."""
        ...


class CallTracer(Protocol):
    """For calls of known callers, and of all where callers need no identity."""

    def call(
        self,
        method: str,
        peer: str,
        metadata: Iterable[tuple[str, str | bytes]],
        at: float,
        *,
        watches: bool,
        via: str = "grpc",
    ) -> CallSpan:
        """A call that came at this monotonic time: of a method, such as mintonce.v1.TokenService/GetToken, or by HTTP
        of a method and a route, such as POST /oauth/token."""
        ...


class FlightSpans:
    """The spans of the flights under way, at most one a key."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._running: dict[TokenKey, FlightSpan] = {}

    def join(self, key: TokenKey) -> None:
        """This task is about to wait for the flight of the key, if there is one."""
        if (span := self._running.get(key)) is not None:
            span.join()

    def start(
        self, key: TokenKey, key_hash: str, cause: str, flight: Callable[[], Coroutine[Any, Any, T]]
    ) -> Coroutine[Any, Any, T]:
        """The flight, in a span that begins now, in the task of the caller that starts it."""
        span = self._running[key] = self._tracer.flight(key_hash, key.client, cause)
        return self._run(key, span, flight)

    async def _run(self, key: TokenKey, span: FlightSpan, flight: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            with span:
                return await flight()
        finally:
            if self._running.get(key) is span:
                del self._running[key]
