"""The client tells the server which span of its program calls, if the program uses OpenTelemetry."""

import subprocess
import sys

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span

from mintonce import AsyncTokenClient, TokenClient, _trace
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer


def test_without_a_current_span_nothing_is_sent() -> None:
    assert _trace.context() == ()


def test_the_current_span_is_sent_with_its_flag_and_its_state() -> None:
    for flag in (0, 1):
        span = SpanContext(1, 2, False, TraceFlags(flag), TraceState([("a", "1")]))
        with use_span(NonRecordingSpan(span)):
            sent = dict(_trace.context())
        assert sent == {"traceparent": f"00-{1:032x}-{2:016x}-0{flag}", "tracestate": "a=1"}


async def test_both_clients_send_it_with_each_call(server: ScriptedServer) -> None:
    span = NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1)))
    with TokenClient(server.target) as client:
        client.get(CLIENT, AUDIENCE)
        assert "traceparent" not in server.metadata[-1]
        with use_span(span):
            client.get(CLIENT, AUDIENCE)
    async with AsyncTokenClient(server.target) as other:
        with use_span(span):
            await other.get(CLIENT, AUDIENCE)
    assert [sent.get("traceparent") for sent in server.metadata[-2:]] == [f"00-{1:032x}-{2:016x}-01"] * 2


def test_nothing_of_opentelemetry_is_imported_by_the_client() -> None:
    code = "import sys, mintonce\nmintonce.TokenClient('127.0.0.1:1')\nprint('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "False\n"


def test_a_library_that_raises_fails_no_call() -> None:
    """Such as one that another thread has imported half."""
    real = sys.modules["opentelemetry.trace"]
    sys.modules["opentelemetry.trace"] = sys  # it lacks all that is wanted
    try:
        assert _trace.context() == ()
    finally:
        sys.modules["opentelemetry.trace"] = real
