"""Sends spans to an OTLP receiver, in a thread of its own. Calls never wait for it, and the end at most two seconds."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast, overload

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracer, Tracer

from mintonce_server.common.clock import Clock
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import REMIND_EVERY
from mintonce_server.observability.traces import sampler_of

FLUSH_SECONDS: Final = 2.0
SCOPE: Final = "mintonce"
_LIBRARY: Final = "opentelemetry"
_SAME_KIND: Final = 30
_MOST_KINDS: Final = 100
_REMEDY: Final = "Check tracing.endpoint, ca_file and headers_file, and that the receiver takes OTLP over gRPC."

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Attributes:
    endpoint: http://HOST:PORT, or with https.
    authorities: PEM of the CAs that the receiver's certificate is checked against.
    headers: returns the current headers of each request.
    version: of this program.
    """

    endpoint: str
    sample_ratio: float
    authorities: bytes | None
    headers: Callable[[], Sequence[Header]]
    version: str


class TraceExport:
    """A tracer, and the thread that sends what it records. `tracer` is None if OTEL_SDK_DISABLED says so."""

    def __init__(self, options: ExportOptions, clock: Clock) -> None:
        """Does not connect yet."""
        own = {"service.name": "mintonce", "service.version": options.version}
        resource = Resource.create(own).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(sampler_of(options.sample_ratio), resource, shutdown_on_exit=False)
        tracer = self._provider.get_tracer(SCOPE, options.version)
        self.tracer: Tracer | None = None if isinstance(tracer, NoOpTracer) else tracer
        if self.tracer is None:
            return
        self._complaints = _Complaints(clock)
        self._complaints.begin()
        self._exporter = _exporter(options)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    async def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what is left, for so long."""
        if self.tracer is None:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            try:
                self._provider.shutdown()
            finally:
                self._complaints.end()
                with suppress(RuntimeError):  # the loop may be closed by now
                    loop.call_soon_threadsafe(done.set)

        # A thread that nothing waits for, unlike those of the loop's executor.
        threading.Thread(target=flush, name="last spans", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            self._complaints.is_quiet = True
            get_logger(__name__).warning("spans_lost", detail=f"not sent within {seconds:g} s", remedy=_REMEDY)
            self._exporter.shutdown()


def _exporter(options: ExportOptions) -> OTLPSpanExporter:
    is_plain = options.endpoint.startswith("http://")
    # gRPC would take a proxy from the environment.
    channel = cast("Any", (("grpc.enable_http_proxy", 0),))
    return OTLPSpanExporter(
        endpoint=options.endpoint,
        insecure=is_plain,
        credentials=None if is_plain else grpc.ssl_channel_credentials(options.authorities),
        headers=cast("Any", _CurrentHeaders(options.headers)),
        channel_options=channel,
    )


class _CurrentHeaders(Sequence[Header]):
    """What the file says at the time of each request."""

    def __init__(self, read: Callable[[], Sequence[Header]]) -> None:
        self._read = read

    def __bool__(self) -> bool:
        return True  # otherwise the exporter would look for headers elsewhere

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[Header]:
        return iter(self._read())

    @overload
    def __getitem__(self, index: int) -> Header: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Header]: ...
    def __getitem__(self, index: int | slice) -> Header | Sequence[Header]:
        return self._read()[index]


class _Complaints(logging.Handler):
    """Logs what the library complains of: each kind at most once a minute."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._next: dict[str, float] = {}
        self.is_quiet = False

    def begin(self) -> None:
        library = logging.getLogger(_LIBRARY)
        library.addHandler(self)
        library.propagate = False

    def end(self) -> None:
        library = logging.getLogger(_LIBRARY)
        library.removeHandler(self)
        library.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = str(record.msg)[:_SAME_KIND], self._clock.monotonic()
        if self.is_quiet or now < self._next.get(kind, 0.0) or len(self._next) >= _MOST_KINDS:
            return
        self._next[kind] = now + REMIND_EVERY
        try:
            detail = record.getMessage()
        except Exception as error:  # noqa: BLE001 - a bug of the library
            detail = type(error).__name__
        get_logger(__name__).warning("tracing_trouble", detail=detail, remedy=_REMEDY)
