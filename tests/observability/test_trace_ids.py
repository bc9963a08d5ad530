"""Log lines and exemplars name the trace that they belong to."""

import io
import json
from collections.abc import Callable
from typing import cast

import pytest
from prometheus_client.openmetrics.exposition import (
    generate_latest,
)

from mintonce_server.common.clock import SystemClock
from mintonce_server.core import events
from mintonce_server.core.events import Cause
from mintonce_server.core.key import TokenKey
from mintonce_server.observability import logs
from mintonce_server.observability.event_meter import EventMeter
from mintonce_server.observability.metrics import Metrics
from support.traces import Recorder, span_id, trace_id

Configure = Callable[..., io.StringIO]
MINTED = events.Minted("hash", TokenKey.of("billing", ""), 1, Cause.ABSENT, 0.2, 60.0, "print", "")


def test_a_line_within_a_span_names_it_and_others_do_not(configure: Configure) -> None:
    stream, recorder = configure(), Recorder()
    logs.show_trace(recorder.traces.ids)
    try:
        with recorder.traces.flight("hash", "billing", "absent"):
            logs.get_logger("x").info("inside", trace_id="forged")
        logs.get_logger("x").info("outside")
    finally:
        logs.show_trace(None)
    inside, outside = (json.loads(line) for line in stream.getvalue().splitlines())
    flight = recorder.one("flight")
    assert (inside["trace_id"], inside["span_id"]) == (f"{trace_id(flight):032x}", f"{span_id(flight):016x}")
    assert "trace_id" not in outside


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_duration_of_a_mint_has_an_exemplar_if_its_trace_is_recorded(ratio: float) -> None:
    recorder, metrics = Recorder(ratio), Metrics(["billing"])
    meter = EventMeter(metrics, {"billing": "acme"}, SystemClock())
    meter.exemplar = recorder.traces.exemplar
    with recorder.traces.flight("hash", "billing", "absent") as flight:
        meter(MINTED)
    text = cast("bytes", generate_latest(metrics.registry))  # type: ignore[no-untyped-call]
    lines = text.decode().splitlines()
    marked = [line for line in lines if line.startswith("mintonce_mint_duration_seconds_bucket") and " # {" in line]
    assert len(marked) == int(ratio)
    if ratio:
        context = flight.span.get_span_context()
        assert f'trace_id="{context.trace_id:032x}"' in marked[0]
