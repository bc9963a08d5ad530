"""How a process does, by the counts that its metrics keep anyway."""

import pytest

from mintonce_server.observability.call_meter import PrometheusCallMeter
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.vitals import Rates, Vitals, memory_bytes
from support.clocks import ManualClock


def test_calls_a_second_are_those_of_the_last_minute() -> None:
    """Of them, only those that failed by a fault of the server's count as failed. Before two looks nothing is known."""
    clock, metrics = ManualClock(), Metrics(["billing"])
    vitals, ended = (
        Vitals(metrics, clock),
        PrometheusCallMeter(metrics, 100).method("mintonce.v1.TokenService/GetToken"),
    )
    vitals.look()
    assert vitals.rates() == Rates()
    for code in ("OK", "OK", "OK", "UNAVAILABLE", "PERMISSION_DENIED"):
        ended(code, 0.001)
    clock.advance(2.0)
    vitals.look()
    assert vitals.rates() == Rates(2.5, 0.5, 0.0, 0.0)
    for _ in range(61):
        clock.advance(1.0)
        vitals.look()
    assert vitals.rates() == Rates(0.0, 0.0, 0.0, 0.0)


def test_requests_to_the_token_endpoint_are_among_the_calls() -> None:
    """And known apart. A mistake of the caller's is no failure."""
    clock, metrics = ManualClock(), Metrics(["billing"])
    vitals, meter = Vitals(metrics, clock), PrometheusCallMeter(metrics, 100)
    ended, answered = meter.method("mintonce.v1.TokenService/GetToken"), meter.route("POST", "/oauth/token")
    vitals.look()
    ended("UNAVAILABLE", 0.001)
    for status in (200, 200, 401, 503):
        answered(status, 0.001)
    clock.advance(2.0)
    vitals.look()
    assert vitals.rates() == Rates(calls=2.5, failed=1.0, requests=2.0, requests_failed=0.5)


def test_tokens_that_were_handed_out_are_summed_by_client() -> None:
    """Whatever they came from, and though nothing has scraped."""
    metrics = Metrics(["billing", "reports"])
    meter = PrometheusCallMeter(metrics, 100)
    for origin, degraded in (("memory", False), ("memory", True), ("mint", False)):
        meter.served("billing", origin, degraded)
    meter.publish()
    meter.publish()
    assert Vitals(metrics, ManualClock()).served() == {"billing": 3, "reports": 0}


@pytest.mark.parametrize("text", ["", "1", "a b"])
def test_memory_is_not_known_where_the_system_does_not_say(text: str) -> None:
    """Here it does, or does not; the page shows nothing then."""
    assert memory_bytes(lambda: text) is None
    assert (memory_bytes(lambda: "1000 25 3") or 0) % 25 == 0
