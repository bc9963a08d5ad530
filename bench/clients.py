"""The clients of all languages: what a read of the token costs, and how long after a rotation each has the new one."""

import asyncio
import json
import subprocess
import sys
import timeit
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, Final

from bench.calls import SCOPES, fresh_audience
from bench.figures import duration, percentile, table
from bench.peers import msal_read
from bench.programs import CLIENT, Program, surroundings
from conformance.harness.languages import FOLDERS, TITLES, Language, find
from conformance.harness.testee import Testee
from mintonce import AsyncTokenClient, TokenSource

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD_WITHIN: Final = 1200.0
BENCH_WITHIN: Final = 300.0
SEEN_WITHIN: Final = 10.0
LANGUAGES: Final = ("python", *FOLDERS)


@dataclass(frozen=True)
class ClientsEffort:
    """Reads of Python's token; rotations; whether the other languages measure their reads."""

    reads: int
    rotations: int
    everyone_reads: bool


@dataclass(frozen=True)
class Read:
    """Seconds of one read of a client, and of the library that does something alike, if there is one."""

    own: float
    peer: float | None
    peer_name: str


@dataclass(frozen=True)
class ClientsMeasured:
    """Seconds from the call of RotateToken: `rotations` to its answer, `lags` to the new token in each language."""

    reads: dict[str, Read] = field(default_factory=dict[str, Read])
    rotations: list[float] = field(default_factory=list[float])
    lags: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    pipes: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    left_out: dict[str, str] = field(default_factory=dict[str, str])


async def measure_clients(effort: ClientsEffort) -> ClientsMeasured:
    """About four minutes with FULL, and what it takes to build the clients."""
    measured = ClientsMeasured()
    await asyncio.to_thread(_run, sys.executable, "tools/clients.py", "testee", within=BUILD_WITHIN)
    here = [find(name) for name in LANGUAGES]
    measured.left_out.update({one.name: one.why_not for one in here if not one.is_here})
    present = [one for one in here if one.is_here]
    async with surroundings() as around:
        server = await around.server(await around.issuer(), {"LIMITS__MINT_BURST": "100000"})
        measured.reads["python"] = await asyncio.to_thread(_read_in_python, server, effort.reads)
        await _follow(present, server, effort.rotations, measured)
    if effort.everyone_reads:
        for language in present:
            if language.name in FOLDERS:
                measured.reads[language.name] = await asyncio.to_thread(_read_in, language.name)
    return measured


async def _follow(present: list[Language], server: Program, rotations: int, into: ClientsMeasured) -> None:
    """One source in each language, all of the same key; each rotation reaches all of them."""
    audience = fresh_audience()
    key = {"client": CLIENT, "audience": audience, "scopes": list(SCOPES)}
    async with AsyncTokenClient(server.target) as client:
        with ExitStack() as running:
            testees = {one.name: running.enter_context(Testee(one.command)) for one in present}
            opened = [
                await asyncio.to_thread(testee.call, "open", source="s", target=server.target, **key)
                for testee in testees.values()
            ]
            than = max(token["generation"] for token in opened)
            for _ in range(rotations):
                waiting = {
                    name: testee.start("updated", source="s", than=than, timeout_ms=SEEN_WITHIN * 1000)
                    for name, testee in testees.items()
                }
                called_at = monotonic()
                rotated = await client.rotate(CLIENT, audience, SCOPES)
                into.rotations.append(monotonic() - called_at)
                for name, pending in waiting.items():
                    await asyncio.to_thread(pending.result, SEEN_WITHIN)
                    into.lags.setdefault(name, []).append(pending.answered_at - called_at)
                than = rotated.generation
                for name, testee in testees.items():
                    asked = testee.start("token", source="s")
                    await asyncio.to_thread(asked.result, SEEN_WITHIN)
                    into.pipes.setdefault(name, []).append(asked.took)


def _read_in_python(server: Program, reads: int) -> Read:
    msal = msal_read()
    with TokenSource(CLIENT, fresh_audience(), SCOPES, via=server.target) as source:
        own = min(timeit.repeat(source.get, number=reads, repeat=5)) / reads
    peer = min(timeit.repeat(msal, number=reads // 100, repeat=5)) / (reads // 100)
    return Read(own, peer, "MSAL, from its cache")


def _read_in(name: str) -> Read:
    """What `make -C client/NAME bench` prints in its last line."""
    text = _run("make", "-s", "--no-print-directory", "-C", f"client/{name}", "bench", within=BENCH_WITHIN)
    said: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    peer = said.get("peer_read_ns")
    return Read(said["read_ns"] / 1e9, None if peer is None else peer / 1e9, said.get("peer") or "")


def _run(*command: str, within: float) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=within)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def clients_report(of: ClientsMeasured) -> str:
    """The table, and which languages are not in it."""
    rows = [
        (TITLES[name], *_reads(of.reads.get(name)), *_times(lags), duration(median(of.pipes[name])), _peer(of, name))
        for name, lags in of.lags.items()
    ]
    caller = ("the caller of RotateToken", "-", "-", *_times(of.rotations), "-", "the answer to its call")
    left_out = "".join(f"\nLeft out: {TITLES[name]}: {why}" for name, why in of.left_out.items())
    return f"""\
Clients

{table(("", "read", "peer's read", "update p50", "p99", "pipe", "peer"), [*rows, caller])}

read: of a token in memory, best round. update: from the call of RotateToken, which mints, until a program in that
language has said that it has the new token. pipe: what saying it costs, as a part of that.{left_out}"""


def _reads(read: Read | None) -> tuple[str, str]:
    if read is None:
        return "-", "-"
    return _nanoseconds(read.own), "-" if read.peer is None else _nanoseconds(read.peer)


def _nanoseconds(seconds: float) -> str:
    return f"{seconds * 1e9:.1f} ns" if seconds < 1e-7 else duration(seconds)


def _peer(of: ClientsMeasured, name: str) -> str:
    return of.reads[name].peer_name if name in of.reads else ""


def _times(seconds: list[float]) -> tuple[str, str]:
    return duration(median(seconds)), duration(percentile(seconds, 99))
