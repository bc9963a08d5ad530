"""Rounds of calls to the server under measurement, the methods in turn, so that noise hits all alike."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from grpc import aio

from bench.figures import Figures
from bench.load import Call, Load
from bench.methods import CPU, REQUEST

CALL_DEADLINE: Final = 10.0

T = TypeVar("T")


class Caller:
    """Calls methods with the request's bytes and takes the answer's bytes: the same work for each method."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel

    def call(self, method: str) -> Call:
        multicallable: aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        return lambda: multicallable(REQUEST, timeout=CALL_DEADLINE)

    async def answer(self, method: str) -> bytes:
        """The answer's bytes, and with it the proof that the method works. Raises grpc.RpcError."""
        multicallable: aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        return await multicallable(REQUEST, timeout=CALL_DEADLINE)

    async def server_cpu(self) -> float:
        """Seconds of CPU that the server has used so far, all its threads together."""
        return int(await self.answer(CPU)) / 1e9


async def measure_load(caller: Caller, load: Load, figures: Mapping[str, Figures], rounds: int, calls: int) -> None:
    """Many calls under way: the server's CPU per call, and calls/s. The first round warms up and does not count."""
    for number in range(rounds + 1):
        for method in _in_turn(list(figures), number):
            before = await caller.server_cpu()
            seconds = await load(method, calls)
            used = await caller.server_cpu() - before
            if number:
                figures[method].server_cpu.append(used / calls)
                figures[method].rate.append(calls / seconds)


async def measure_latency(subjects: Sequence[tuple[Call, Figures]], rounds: int, calls: int) -> None:
    """One call at a time: how long each takes, and what it costs this process. The first round does not count."""
    for number in range(rounds + 1):
        for call, figures in _in_turn(subjects, number):
            cpu = time.process_time()
            latencies = [await _timed(call) for _ in range(calls)]
            cpu = time.process_time() - cpu
            if number:
                figures.caller_cpu.append(cpu / calls)
                figures.latencies += latencies


async def _timed(call: Call) -> float:
    start = time.perf_counter()
    await call()
    return time.perf_counter() - start


def _in_turn(subjects: Sequence[T], number: int) -> Sequence[T]:
    """There and back (A B C, C B A, …): a machine that gets slower or faster meanwhile favours none."""
    return subjects if number % 2 else subjects[::-1]
