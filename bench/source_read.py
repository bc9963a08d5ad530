"""What it costs a caller to read a token that its TokenSource holds."""

import time
import timeit
from collections.abc import Callable

from bench.figures import Figures
from bench.methods import AUDIENCE, CLIENT, SCOPES
from mintonce import TokenSource


def measure_source(target: str, rounds: int, reads: int) -> Figures:
    """Blocks for as long as it takes. The CPU per read is without a clock; each latency includes that of two looks."""
    figures = Figures()
    with TokenSource(CLIENT, AUDIENCE, SCOPES, via=target) as source:
        for _ in range(rounds):
            figures.caller_cpu.append(timeit.timeit(source.get, timer=time.process_time, number=reads) / reads)
        figures.latencies = [_timed(source.get) for _ in range(reads)]
    return figures


def _timed(read: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    read()
    return (time.perf_counter_ns() - start) / 1e9
