"""Sending spans: with the headers of the moment, without delay for anybody, with few complaints."""

import asyncio
import io
import json
import logging
import time
from collections.abc import Callable

from mintonce_server.common.clock import SystemClock
from mintonce_server.observability.trace_export import ExportOptions, TraceExport
from support.traces import otlp_receiver
from support.waiting import wait_until

Configure = Callable[..., io.StringIO]


def export_to(endpoint: str, headers: list[tuple[str, str]]) -> TraceExport:
    return TraceExport(ExportOptions(endpoint, 1.0, None, lambda: list(headers), "1.2.3"), SystemClock())


def record(export: TraceExport, name: str = "a span") -> None:
    assert export.tracer is not None
    export.tracer.start_span(name).end()


async def test_each_request_has_the_headers_that_the_file_holds_then() -> None:
    headers = [("x-key", "old")]
    async with otlp_receiver() as receiver:
        export = export_to(receiver.endpoint, headers)
        record(export)
        await asyncio.to_thread(export._provider.force_flush)
        headers[:] = [("x-key", "new")]
        record(export)
        await export.close(seconds=10.0)
    assert [metadata["x-key"] for metadata in receiver.metadata] == ["old", "new"]
    assert receiver.resources[0]["service.version"] == "1.2.3"


async def test_a_receiver_that_hangs_delays_neither_spans_nor_the_end(configure: Configure) -> None:
    stream = configure("warning")
    async with otlp_receiver(hangs=True) as receiver:
        export = export_to(receiver.endpoint, [])
        record(export)
        flushing = asyncio.create_task(asyncio.to_thread(export._provider.force_flush))
        await wait_until(lambda: receiver.requests)
        began = time.monotonic()
        for number in range(5000):  # more than the queue holds
            record(export, f"span {number}")
        assert time.monotonic() - began < 5.0
        began = time.monotonic()
        await export.close(seconds=0.2)
        assert time.monotonic() - began < 3.0
        await flushing
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines if line["event"] != "tracing_trouble"] == ["spans_lost"]
    assert 1 <= sum(line["event"] == "tracing_trouble" for line in lines) <= 5


async def test_a_thousand_complaints_of_one_kind_are_one_line(configure: Configure) -> None:
    stream = configure("warning")
    export = export_to("http://127.0.0.1:9", [])
    for number in range(1000):
        logging.getLogger("opentelemetry.sdk.trace").warning("cannot send %d", number)
    await export.close(seconds=5.0)
    (line,) = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (line["event"], line["detail"]) == ("tracing_trouble", "cannot send 0")
    assert logging.getLogger("opentelemetry").propagate
