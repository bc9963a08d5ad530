"""A hot key in one server, beside what it is built on: gRPC alone, Redis, the caller's own memory."""

import asyncio
import os
import platform
from dataclasses import dataclass

import grpc
from google import protobuf
from grpc import aio

from bench.calls import Caller, measure_latency, measure_load
from bench.child import measured_server
from bench.figures import Figures, Ratio
from bench.load import UNDER_WAY, Load, by_h2load, by_this_process
from bench.methods import EMPTY, GET_TOKEN, MEASURED, SAME_BYTES
from bench.redis_get import redis_get
from bench.source_read import measure_source
from bench.table import Row, ratios, table


@dataclass(frozen=True)
class HotEffort:
    """How many rounds, and calls a round and method."""

    rounds: int
    loaded_calls: int
    single_calls: int
    reads: int


@dataclass(frozen=True)
class HotMeasured:
    """All of it."""

    methods: dict[str, Figures]
    redis: Figures
    source: Figures


async def measure_hot(effort: HotEffort, h2load: str | None) -> HotMeasured:
    """Takes a minute or two with FULL."""
    methods = {method: Figures() for method in MEASURED}
    redis = Figures()
    # Both programs are started before the channel is opened: gRPC and fork do not go together.
    async with measured_server() as target, redis_get() as get:
        async with aio.insecure_channel(target) as channel:
            caller = Caller(channel)
            await measure_load(caller, await _load(caller, target, h2load), methods, effort.rounds, effort.loaded_calls)
            subjects = [*((caller.call(method), figures) for method, figures in methods.items()), (get, redis)]
            await measure_latency(subjects, effort.rounds, effort.single_calls)
        source = await asyncio.to_thread(measure_source, target, effort.rounds, effort.reads)
    return HotMeasured(methods, redis, source)


async def _load(caller: Caller, target: str, h2load: str | None) -> Load:
    # Durations make an answer a few bytes longer or shorter.
    sizes = {method: int(0.9 * len(await caller.answer(method))) for method in MEASURED}
    return by_h2load(h2load, target, sizes) if h2load else by_this_process(caller.call)


def hot_report(measured: HotMeasured, h2load: str | None) -> str:
    """What is printed."""
    empty, same, hot = (measured.methods[method] for method in (EMPTY, SAME_BYTES, GET_TOKEN))
    rows = [
        Row("empty method", empty, "gRPC alone: the same request"),
        Row("same bytes", same, "gRPC alone: the same answer too"),
        Row("GetToken, hot key", hot, "the server answers from memory"),
        Row("Redis GET", measured.redis, "redis-py, Unix socket, same text"),
        Row("TokenSource.get", measured.source, "the caller's own memory"),
    ]
    microseconds = [1e-6] * len(measured.source.caller_cpu)
    comparisons: list[tuple[str, Ratio | str, str]] = [
        ("GetToken / empty method, server CPU", Ratio.of(hot.server_cpu, empty.server_cpu), "aim: at most 1.10"),
        ("GetToken / same bytes, server CPU", Ratio.of(hot.server_cpu, same.server_cpu), ""),
        ("GetToken / empty method, calls/s", Ratio.of(hot.rate, empty.rate), ""),
        ("GetToken / Redis GET, caller CPU", Ratio.of(hot.caller_cpu, measured.redis.caller_cpu), ""),
        ("GetToken / Redis GET, p50", f"{hot.percentile(50) / measured.redis.percentile(50):.2f}", ""),
        ("TokenSource.get, CPU in µs", Ratio.of(measured.source.caller_cpu, microseconds), "aim: at most 1"),
    ]
    by = "h2load" if h2load else "this process (no h2load on PATH: install Debian's nghttp2-client)"
    return f"""\
Python {platform.python_version()}, grpcio {grpc.__version__}, protobuf {protobuf.__version__}, {os.cpu_count()} cores

{table(rows)}

server CPU, calls/s   {UNDER_WAY} calls under way, made by {by}; medians of the rounds
caller CPU, p50, p99  one call at a time, all made by this Python process; gRPC over TCP on loopback

{ratios(comparisons)}
A ratio is the median of those of the rounds (least to most)."""
