"""The trace context of the program that calls, for the server's traces. Nothing is imported for it."""

import sys
from typing import Any


def context() -> tuple[tuple[str, str], ...]:
    """W3C Trace Context as metadata: of the current span, if the program uses OpenTelemetry and has one."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:  # then no span can be current
        return ()
    try:
        span = trace.get_current_span().get_span_context()
        if not span.is_valid:
            return ()
        flags = int(span.trace_flags) & 1
        parent = ("traceparent", f"00-{int(span.trace_id):032x}-{int(span.span_id):016x}-{flags:02x}")
        state = str(span.trace_state.to_header())
    except Exception:  # noqa: BLE001 - a library that is half imported, or a foreign one, must fail no call
        return ()
    return (parent, ("tracestate", state)) if 0 < len(state) <= 512 and state.isascii() else (parent,)
