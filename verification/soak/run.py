"""A soak from its start to the judgement."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from chaos.processes import Program
from chaos.rig import CLIENT
from soak import laws
from soak.fleet import WITNESS, Fleet, fleet
from soak.gauges import Flatness, Sample, flatness, sample
from soak.keys import LONG, SHORT, UNTOUCHED
from soak.troubles import TRACKS, until

from mintonce import AsyncTokenClient, MintonceError
from support.eventually import eventually

PROCESSES: Final = 3
RECOVERED_WITHIN: Final = 90.0
"""Seconds: an issuer that failed often is left alone for up to 60."""
AFTERWARDS: Final = 3.0
ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass
class Soak:
    """What came of it. `broken`: by law; `lives`: processes by replica, with the last values of each."""

    seed: int
    seconds: float
    broken: dict[str, list[str]]
    calls: Counter[str]
    unreal: Counter[str]
    excused: int
    rejections: int
    posts: int
    minted: int
    troubles: Counter[str]
    flat: list[Flatness]
    samples: list[Sample]
    recovery: float | None
    slowest: float

    @property
    def kept(self) -> bool:
        """Whether every law held."""
        return not any(self.broken.values())


async def soak(minutes: float, seed: int, directory: Path) -> Soak:
    """Everything happens in this directory, and stays there."""
    async with fleet(directory) as running:
        samples: list[Sample] = []
        sampling = asyncio.create_task(sample(running, samples), name="sample")
        try:
            async with _crowd(running, seed) as files:
                ends = asyncio.get_running_loop().time() + 60.0 * minutes
                async with asyncio.TaskGroup() as group:
                    for track in TRACKS:
                        group.create_task(until(running, seed, track, ends), name=track)
                await running.heal()
                recovery = await _recovered(running)
                await asyncio.sleep(AFTERWARDS)
        finally:
            sampling.cancel()
        return _judged(running, seed, samples, laws.excuse(running, laws.read(files)), recovery)


@asynccontextmanager
async def _crowd(running: Fleet, seed: int) -> AsyncGenerator[list[Path]]:
    """Client processes that call until the end of the block; the files that they write."""
    async with AsyncExitStack() as stack:
        files: list[Path] = []
        for number in range(PROCESSES):
            file = running.directory / f"calls-{number}.jsonl"
            spec = {"targets": running.targets, "seed": f"{seed} {number}", "output": str(file)}
            process = Program(f"client-{number}", running.directory / f"client-{number}.log")
            stack.push_async_callback(process.leave)
            environ = os.environ | {
                "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'verification'}",
                "GRPC_VERBOSITY": "NONE",
            }
            await process.launch(["-m", "soak.caller", json.dumps(spec)], environ, "calling")
            files.append(file)
        yield files


async def _recovered(running: Fleet) -> float | None:
    """Seconds until every replica serves every key in use as if nothing had happened; None if it takes too long."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(AsyncTokenClient(target)) for target in running.targets.values()]
        try:
            async with asyncio.timeout(RECOVERED_WITHIN):
                for audience in (*SHORT, *LONG, UNTOUCHED):
                    for client in clients:
                        await eventually(partial(_is_well, client, audience), bool, RECOVERED_WITHIN)
        except TimeoutError:
            return None
    return time.monotonic() - began


async def _is_well(client: AsyncTokenClient, audience: str) -> bool:
    try:
        return not (await client.get(CLIENT, audience, timeout=5.0)).degraded
    except MintonceError:
        return False


def _judged(running: Fleet, seed: int, samples: list[Sample], told: laws.Told, recovery: float | None) -> Soak:
    history, flat = laws.history_of(running, told), flatness(samples, WITNESS)
    return Soak(
        seed=seed,
        seconds=time.time() - running.began,
        broken=laws.broken(running, told, history, flat, recovery),
        calls=Counter(f"{call.op} {call.status}" for call in told.calls),
        unreal=Counter(call.status for call in told.unreal),
        excused=told.excused,
        rejections=sum(call.op == "reject" and call.was_current is True for call in told.calls),
        posts=len(history.posts),
        minted=sum(bool(post.jti) for post in history.posts),
        troubles=Counter(fault.kind for fault in running.faults),
        flat=flat,
        samples=samples,
        recovery=recovery,
        slowest=max((call.ended - call.began for call in told.calls if call.op == "get"), default=0.0),
    )
