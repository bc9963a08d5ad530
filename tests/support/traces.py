"""Spans that a test can read: of this process, or as an OTLP receiver gets them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import grpc
from grpc import aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mintonce_server.common.clock import SystemClock
from mintonce_server.observability.traces import Traces, sampler_of

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
SPAN: Final = "b7ad6b7169203331"
SAMPLED: Final = f"00-{TRACE}-{SPAN}-01"
"""A traceparent of a caller that records."""
UNSAMPLED: Final = f"00-{TRACE}-{SPAN}-00"


class Recorder:
    """Traces of this process. `ratio`: of those that no caller decides on."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler_of(ratio), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = Traces(provider.get_tracer("test"), SystemClock(), ("127.0.0.1", 6379))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Those that have ended, in the order of their ends."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of one name; a part of it will do."""
        return [span for span in self.spans if name in span.name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of this name."""
        (span,) = self.named(name)
        return span

    def children(self, parent: ReadableSpan) -> list[str]:
        """Names of its children, in the order of their ends. Not renewals: only a slow machine needs them."""
        names = [span.name for span in self.spans if span.parent and span.parent.span_id == span_id(parent)]
        return [name for name in names if name != "EVALSHA renew"]

    def texts(self) -> Iterator[str]:
        """All that anybody can read in them."""
        for span in self.spans:
            yield span.to_json()


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def trace_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def linked(span: ReadableSpan) -> set[int]:
    """The ids of the spans that it is linked to."""
    return {link.context.span_id for link in span.links}


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


@dataclass
class Received:
    """What an OTLP receiver got."""

    endpoint: str
    requests: list[messages.ExportTraceServiceRequest] = field(default_factory=list[messages.ExportTraceServiceRequest])
    metadata: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    resources: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@asynccontextmanager
async def otlp_receiver(
    credentials: grpc.ServerCredentials | None = None, *, hangs: bool = False
) -> AsyncGenerator[Received]:
    """A receiver for OTLP over gRPC at a free port of this machine. `hangs`: it never answers."""
    received = Received("")

    class Service:
        async def Export(
            self, request: messages.ExportTraceServiceRequest, context: aio.ServicerContext[Any, Any]
        ) -> messages.ExportTraceServiceResponse:
            received.requests.append(request)
            received.metadata.append({name: str(value) for name, value in context.invocation_metadata() or ()})
            for resource in request.resource_spans:
                said = {item.key: item.value.string_value for item in resource.resource.attributes}
                received.resources.append(said)
            if hangs:
                await asyncio.get_running_loop().create_future()
            return messages.ExportTraceServiceResponse()

    server = aio.server()
    cast("Any", add_TraceServiceServicer_to_server)(Service(), server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    received.endpoint = f"{'https' if credentials else 'http'}://127.0.0.1:{port}"
    await server.start()
    try:
        yield received
    finally:
        await server.stop(None)
