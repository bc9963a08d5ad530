"""Traces by OpenTelemetry. Imported only when traces are on: a server without the extra `tracing` runs, too.

No attribute holds a token, a secret, an audience, a scope, or a text of an issuer.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlsplit

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from mintonce_server.common.clock import Clock
from mintonce_server.common.network import address_of_peer
from mintonce_server.common.trace_context import TRACEPARENT, TraceParent, trace_parent
from mintonce_server.core import events
from mintonce_server.core.errors import MintonceError
from mintonce_server.observability.call_meter import SERVER_ERRORS
from mintonce_server.observability.logs import bound_request_id
from mintonce_server.observability.redaction import Redactor

MAX_LINKS: Final = 32
"""Calls that a flight is linked to; more may wait for it."""
FAILURES: Final = SERVER_ERRORS | {"FAILED_PRECONDITION"}
"""Codes that make a call's span an error: not those that say that the caller is wrong. FAILED_PRECONDITION says that
the issuer refused us."""
SCRIPTS: Final = frozenset(
    {"acquire", "barrier", "commit", "enter", "fail", "learn", "reject", "renew", "reseal", "restore"}
)
"""Store operations that run a script."""
_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}
_REDACTOR: Final = Redactor()


class FollowCallers(Sampler):
    """For the beginnings of traces: records a share of them, and each flight of a recorded call or refresh."""

    def __init__(self, ratio: float) -> None:
        self._share = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if any(link.context.trace_flags.sampled for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._share.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"FollowCallers{{{self._share.get_description()}}}"


def sampler_of(ratio: float) -> Sampler:
    """Does as a caller's trace context says; without one, as FollowCallers."""
    return ParentBased(FollowCallers(ratio))


class Traces:
    """Makes all spans. Implements the ports of core/tracing.py, and is an events.EventSink.

    `store`: host and port of the store, where it is one server.
    """

    def __init__(self, tracer: Tracer, clock: Clock, store: tuple[str, int] | None = None) -> None:
        self.tracer = tracer
        self.clock = clock
        self._store = {"server.address": store[0], "server.port": store[1]} if store else {}

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return int(self.clock.unix() * 1e9)

    def ids(self) -> tuple[str, str] | None:
        """Trace and span of this task, as hexadecimal digits."""
        context = get_current_span().get_span_context()
        return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None

    def exemplar(self) -> dict[str, str] | None:
        """The same as labels of an exemplar, if the trace is recorded."""
        if not get_current_span().is_recording() or (ids := self.ids()) is None:
            return None
        return {"trace_id": ids[0], "span_id": ids[1]}

    def call(
        self,
        method: str,
        peer: str,
        metadata: Iterable[tuple[str, str | bytes]],
        at: float,
        *,
        watches: bool,
        via: str = "grpc",
    ) -> "_Call":
        return _Call(self, method, peer, trace_parent(metadata), at, watches=watches, via=via)

    def flight(self, key_hash: str, client: str, cause: str) -> "_Flight":
        attributes = {"mintonce.client": client, "mintonce.key_hash": key_hash, "mintonce.cause": str(cause)}
        return _Flight(self.tracer, attributes)

    def refresh(self, key_hash: str, client: str, lag: float) -> "_Block":
        attributes: dict[str, str | float] = {"mintonce.client": client, "mintonce.key_hash": key_hash}
        attributes["mintonce.refresh_lag_seconds"] = lag
        return _Block(self.tracer.start_span("refresh", Context(), attributes=attributes))

    def requests(self, issuer: str, *, propagate: bool) -> "_Requests":
        """For one issuer. `propagate`: send it `traceparent`."""
        return _Requests(self.tracer, issuer, propagate=propagate)

    def operation(self, name: str, seconds: float, error: str) -> None:
        """A store operation that has just ended. Only within a recorded span: the upkeep has none."""
        if not get_current_span().is_recording():
            return
        attributes = {"db.system.name": "redis", **self._store}
        if name in SCRIPTS:
            attributes |= {"db.operation.name": "EVALSHA", "db.stored_procedure.name": name}
            name = f"EVALSHA {name}"
        self._past(name, SpanKind.CLIENT, seconds, attributes, error)

    def __call__(self, event: events.Event) -> None:
        """Events come in the task of the flight that they are about."""
        span = get_current_span()
        if not span.is_recording():
            return
        match event:
            case events.Waited(seconds=seconds, result=result):
                self._past("lease.wait", SpanKind.INTERNAL, seconds, {"mintonce.lease_wait.result": result}, "")
            case events.Minted(generation=generation, request_id=request_id):
                span.set_attribute("mintonce.generation", generation)
                _set_text(span, "mintonce.issuer_request_id", request_id)
            case events.MintFailed(error=error):
                span.set_attribute("mintonce.reason", error.reason.value)
                _set_text(span, "mintonce.issuer_request_id", error.request_id)
            case events.LeaseLost():
                span.add_event("lease_lost")
            case events.CommitRefused(refusal=refusal):
                span.add_event("commit_refused", {"mintonce.refusal": refusal.value})
            case _:
                pass

    def _past(self, name: str, kind: SpanKind, seconds: float, attributes: Mapping[str, Any], error: str) -> None:
        """A span that has ended now, a child of this task's."""
        ended = self.now()
        span = self.tracer.start_span(name, kind=kind, attributes=attributes, start_time=ended - int(seconds * 1e9))
        if error:
            _set_error(span, error)
        span.end(ended)


class _Call:
    """Implements CallSpan."""

    __slots__ = ("_at", "_is_over", "_method", "_parent", "_peer", "_span", "_traces", "_via", "_watches")

    def __init__(
        self,
        traces: Traces,
        method: str,
        peer: str,
        parent: TraceParent | None,
        at: float,
        *,
        watches: bool,
        via: str,
    ) -> None:
        self._via = via
        self._traces = traces
        self._method = method
        self._peer = peer
        self._parent = parent
        self._at = at
        self._watches = watches
        self._span: Span | None = None
        self._is_over = False
        if parent is not None and parent.is_sampled:
            self.begin()

    def begin(self) -> None:
        if self._span is not None:
            return
        traces = self._traces
        age = traces.clock.monotonic() - self._at
        self._span = span = traces.tracer.start_span(
            self._method,
            _context_of(self._parent),
            SpanKind.SERVER,
            _attributes_of(self._via, self._method),
            start_time=traces.now() - int(age * 1e9),
        )
        if span.is_recording() and (address := address_of_peer(self._peer)) is not None:
            span.set_attribute("network.peer.address", address[0])
        attach(set_span_in_context(span, Context()))  # for good: each call has a task of its own

    def served(self, client: str, origin: str, degraded: bool, generation: int) -> None:
        if (span := self._span) is None or self._is_over:
            return
        span.set_attributes(
            {
                "mintonce.client": client,
                "mintonce.origin": str(origin),
                "mintonce.degraded": degraded,
                "mintonce.generation": generation,
            }
        )
        if self._watches:
            self.end("OK", "", "")
            attach(Context())

    def end(self, code: str, reason: str, client: str) -> None:
        if self._is_over or (self._span is None and code == "OK"):
            return
        self.begin()
        self._is_over = True
        span = self._span
        assert span is not None  # noqa: S101 - for type checkers: it has begun
        span.set_attribute("rpc.status_code" if self._via == "grpc" else "mintonce.status", code)
        _set_text(span, "mintonce.client", client)
        _set_text(span, "mintonce.reason", reason)
        _set_text(span, "mintonce.request_id", bound_request_id() or "")
        if code in FAILURES:
            _set_error(span, code)
        span.end()


def _attributes_of(via: str, method: str) -> dict[str, str]:
    if via == "grpc":
        return {"rpc.system.name": "grpc", "rpc.method": method}
    verb, _, route = method.partition(" ")
    return {"http.request.method": verb, "http.route": route}


class _Block:
    """A span that is this task's from the beginning of a `with` block to its end."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self._token: Any = None

    def __enter__(self) -> Self:
        self._token = attach(set_span_in_context(self.span, Context()))
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            _set_error(self.span, _kind(error))
        self.span.end()
        detach(self._token)


class _Flight(_Block):
    """Implements FlightSpan."""

    def __init__(self, tracer: Tracer, attributes: Mapping[str, str]) -> None:
        caller = get_current_span()
        links = [Link(caller.get_span_context())] if caller.get_span_context().is_valid else []
        super().__init__(tracer.start_span("flight", Context(), attributes=attributes, links=links))
        self._count = len(links)
        self._point_here(caller)

    def join(self) -> None:
        caller = get_current_span()
        context = caller.get_span_context()
        if context.is_valid and self._count < MAX_LINKS:
            self._count += 1
            self.span.add_link(context)
            self._point_here(caller)

    def _point_here(self, caller: Span) -> None:
        """Viewers show links from a span, and not those to it."""
        if self.span.is_recording():
            caller.add_link(self.span.get_span_context())


class _Requests:
    """Implements RequestTracer."""

    def __init__(self, tracer: Tracer, issuer: str, *, propagate: bool) -> None:
        self._tracer = tracer
        self._issuer = issuer
        self._propagate = propagate

    def request(self, method: str, url: str) -> "_Request":
        if not get_current_span().get_span_context().is_valid:
            return _Request(INVALID_SPAN, propagate=False)
        attributes = {"http.request.method": method, "mintonce.issuer": self._issuer, **_address(url)}
        span = self._tracer.start_span(method, kind=SpanKind.CLIENT, attributes=attributes)
        return _Request(span, propagate=self._propagate)


class _Request:
    """Implements RequestSpan."""

    def __init__(self, span: Span, *, propagate: bool) -> None:
        self._span = span
        self._propagate = propagate

    def headers(self) -> Mapping[str, str]:
        if not self._propagate:
            return {}
        context = self._span.get_span_context()
        return {TRACEPARENT: f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"}

    def answered(self, status: int, request_id: str) -> None:
        self._span.set_attribute("http.response.status_code", status)
        _set_text(self._span, "mintonce.issuer_request_id", request_id)
        if status >= 400:
            _set_error(self._span, str(status))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            is_late = isinstance(error, TimeoutError | asyncio.CancelledError)  # the latter: by the deadline, as a rule
            _set_error(self._span, "timeout" if is_late else "connection")
        self._span.end()


def _context_of(parent: TraceParent | None) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.is_sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([parent.state]) if parent.state else None
    remote = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags, trace_state=state)
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _address(url: str) -> Mapping[str, str | int]:
    """Of a URL: without user, password, query and fragment."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    full = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return {"server.address": host, "server.port": port, "url.full": full}


def _set_text(span: Span, name: str, text: str) -> None:
    """What others chose: what looks like a secret is masked."""
    if text and span.is_recording():
        span.set_attribute(name, _REDACTOR.line(text))


def _set_error(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _kind(error: BaseException) -> str:
    return error.reason.value if isinstance(error, MintonceError) else type(error).__name__
