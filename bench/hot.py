"""One hot key: `mintonced serve` guarded and in clear, against grpcio's empty method with and without mutual TLS."""

import os
import platform
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import grpc
from google import protobuf

from bench.calls import GET_TOKEN, Caller, all_of, calling, fresh_audience, in_turn, request, timed
from bench.empty import METHOD
from bench.figures import Ratio, duration, percentile, table
from bench.programs import Program, surroundings

UNDER_WAY: Final = 32


@dataclass(frozen=True)
class HotEffort:
    """How many rounds, and calls per round and server: with many under way, and one at a time."""

    rounds: int
    loaded_calls: int
    single_calls: int


@dataclass
class Figures:
    """Of one server. `loaded_cpu`, `single_cpu`: seconds of the server process per call, one value per round."""

    loaded_cpu: list[float] = field(default_factory=list[float])
    rate: list[float] = field(default_factory=list[float])
    single_cpu: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class HotMeasured:
    """All four servers."""

    guarded: Figures
    clear: Figures
    empty_tls: Figures
    empty_clear: Figures


@dataclass(frozen=True)
class _Subject:
    program: Program
    caller: Caller
    figures: Figures


async def measure_hot(effort: HotEffort) -> HotMeasured:
    """About two minutes with FULL."""
    measured = HotMeasured(Figures(), Figures(), Figures(), Figures())
    async with surroundings() as here, AsyncExitStack() as open_:
        issuer = await here.issuer()
        programs = (
            (await here.server(issuer, guarded=True), GET_TOKEN, measured.guarded),
            (await here.server(issuer), GET_TOKEN, measured.clear),
            (await here.empty(guarded=True), METHOD, measured.empty_tls),
            (await here.empty(), METHOD, measured.empty_clear),
        )
        # Every program is started before the first channel is opened: gRPC and fork do not go together.
        subjects = [
            _Subject(program, await open_.enter_async_context(calling(program, method)), figures)
            for program, method, figures in programs
        ]
        hot = request(fresh_audience())
        for number in range(effort.rounds + 1):
            for subject in in_turn(subjects, number):
                # The first round warms up and does not count.
                await _round(subject, hot, effort, subject.figures if number else Figures())
    return measured


async def _round(subject: _Subject, hot: bytes, effort: HotEffort, figures: Figures) -> None:
    before = subject.program.cpu()
    seconds = await all_of(subject.caller, [hot] * effort.loaded_calls, UNDER_WAY)
    figures.loaded_cpu.append((subject.program.cpu() - before) / effort.loaded_calls)
    figures.rate.append(effort.loaded_calls / seconds)
    before = subject.program.cpu()
    figures.latencies += [await timed(lambda: subject.caller(hot)) for _ in range(effort.single_calls)]
    figures.single_cpu.append((subject.program.cpu() - before) / effort.single_calls)


def hot_report(of: HotMeasured) -> str:
    """The table and the ratios."""
    rows = [
        _row("mintonced, guarded", of.guarded, "mTLS, policy, audit log, sealed tokens"),
        _row("mintonced, in clear", of.clear, "no TLS, no caller authentication"),
        _row("empty method, mTLS", of.empty_tls, "grpcio alone"),
        _row("empty method, in clear", of.empty_clear, "grpcio alone"),
    ]
    pairs = (
        ("guarded / empty method with mTLS", of.guarded, of.empty_tls),
        ("in clear / empty method in clear", of.clear, of.empty_clear),
        ("guarded / in clear", of.guarded, of.clear),
    )
    ratios = [
        (name, str(Ratio.of(this.loaded_cpu, that.loaded_cpu)), str(Ratio.of(this.single_cpu, that.single_cpu)), "")
        for name, this, that in pairs
    ]
    load = f"{UNDER_WAY} under way"
    return f"""\
Hot key: GetToken answered from memory
Python {platform.python_version()}, grpcio {grpc.__version__}, protobuf {protobuf.__version__}, {os.cpu_count()} cores

{table(("", f"CPU, {load}", "calls/s", "CPU, one at a time", "p50", "p99", ""), rows)}

{table(("server CPU per call", load, "one at a time", ""), ratios)}

CPU: of the server process per call, median of the rounds. The rounds of all servers alternate. A ratio is the median
of those of the rounds (range). calls/s is limited by the caller too, a Python process on the same machine."""


def _row(name: str, of: Figures, meaning: str) -> tuple[str, ...]:
    return (
        name,
        duration(median(of.loaded_cpu)),
        f"{median(of.rate):,.0f}",
        duration(median(of.single_cpu)),
        duration(percentile(of.latencies, 50)),
        duration(percentile(of.latencies, 99)),
        meaning,
    )
