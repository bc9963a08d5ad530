"""W3C Trace Context: the `traceparent` that comes with a call. What is not exactly as specified counts as absent."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
MAX_TRACESTATE: Final = 512
"""Characters. A longer one is dropped."""

_FORM: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)


class TraceParent(NamedTuple):
    """A span of the caller. `is_sampled`: the caller records it. `state`: its tracestate, "" if it sent none."""

    trace_id: int
    span_id: int
    is_sampled: bool
    state: str = ""


def trace_parent(metadata: Iterable[tuple[str, str | bytes]]) -> TraceParent | None:
    """The caller's span. None if the metadata have none, more than one, or a malformed one."""
    found: list[str | bytes] = []
    states: list[str] = []
    for name, value in metadata:
        if name == TRACEPARENT:
            found.append(value)
        elif name == TRACESTATE and isinstance(value, str):
            states.append(value)
    if len(found) != 1:
        return None
    state = ",".join(states)
    return parse_traceparent(found[0], state if len(state) <= MAX_TRACESTATE else "")


def parse_traceparent(text: str | bytes, state: str = "") -> TraceParent | None:
    """55 characters, version 00, lower-case digits, ids that are not zero; otherwise None."""
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    trace_id, span_id, flags = (int(digits, 16) for digits in match.groups())
    return TraceParent(trace_id, span_id, bool(flags & 1), state) if trace_id and span_id else None
