"""What counting costs a call that is answered from memory: the meter's own work, without a server around it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import table
from mintonce_server.common.clock import SystemClock
from mintonce_server.observability.call_meter import CallMeter, PrometheusCallMeter
from mintonce_server.observability.metrics import Metrics


@dataclass(frozen=True)
class MeterEffort:
    """`calls` are counted in each of `rounds`."""

    rounds: int
    calls: int


def measure_meter(effort: MeterEffort) -> dict[str, float]:
    """Microseconds of CPU for each call, the best round of each."""
    metrics = Metrics(["billing"])
    counting = _one_call(PrometheusCallMeter(metrics, 10_000))
    off = _one_call(CallMeter())
    return {"counting": _best(counting, effort), "off": _best(off, effort)}


def _one_call(meter: CallMeter) -> Callable[[], None]:
    """What api/transport.py and calls/authorize.py do for a GetToken besides the rest."""
    ended, clock = meter.method("mintonce.v1.TokenService/GetToken"), SystemClock()
    began = clock.monotonic()

    def call() -> None:
        meter.unary += 1
        try:
            meter.served("billing", "memory", False)
            ended("OK", clock.monotonic() - began)
        finally:
            meter.unary -= 1

    return call


def _best(call: Callable[[], None], effort: MeterEffort) -> float:
    def round_() -> float:
        began = time.process_time()
        for _ in range(effort.calls):
            call()
        return (time.process_time() - began) / effort.calls * 1e6

    return min(round_() for _ in range(effort.rounds))


def meter_report(found: dict[str, float]) -> str:
    """The aim is two microseconds."""
    rows = [[name, f"{micros:.2f} µs"] for name, micros in found.items()]
    return "Counting one call (aim: at most 2 µs)\n" + table(["metrics", "CPU"], rows)
