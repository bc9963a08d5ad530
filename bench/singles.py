"""One call at a time: what a mint adds to the issuer's own time, beside a Redis GET and the caller's own memory."""

import asyncio
import tempfile
import time
import timeit
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, Protocol, cast

import httpx
from redis.asyncio import Redis

from bench.bare_mint import METHOD as BARE_MINT
from bench.calls import SCOPES, Call, Caller, calling, fresh_audience, request, timed
from bench.figures import duration, percentile, table
from bench.programs import CLIENT, CLIENT_ID, Issuer, Program, surroundings
from mintonce import TokenSource
from mintonce_dev.valkey import EmbeddedValkey

TOKEN_CHARACTERS: Final = 900
"""About the size of a signed JWT of an OAuth domain."""
SETTLE: Final = 0.2
"""Seconds after a batch of mints, until the server has done what they left to do."""


@dataclass(frozen=True)
class SinglesEffort:
    """Rounds; calls of each kind in a round; reads of a TokenSource."""

    rounds: int
    calls: int
    reads: int


@dataclass
class Timed:
    """Seconds of single calls; of a server's CPU per call, one value per round, where it was measured."""

    latencies: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class SinglesMeasured:
    """`source`: seconds of CPU of one read."""

    redis: Timed = field(default_factory=Timed)
    post: Timed = field(default_factory=Timed)
    bare: Timed = field(default_factory=Timed)
    clear: Timed = field(default_factory=Timed)
    guarded: Timed = field(default_factory=Timed)
    source: list[float] = field(default_factory=list[float])


class _Client(Protocol):
    """What is used of redis-py's client, with the types that it leaves open."""

    def get(self, name: str) -> Awaitable[object]: ...
    def set(self, name: str, value: str, *, ex: int) -> Awaitable[object]: ...
    async def aclose(self) -> None: ...


async def measure_singles(effort: SinglesEffort) -> SinglesMeasured:
    """About a minute with FULL."""
    measured = SinglesMeasured()
    # A Valkey for each server: on the same one, each would hear of the other's mints.
    async with surroundings() as here, surroundings() as there, surroundings() as aside, _redis_get() as redis_get:
        issuer = await here.issuer()
        settings = {"LIMITS__MINT_BURST": "100000"}
        clear = await here.server(issuer, settings)
        guarded = await there.server(issuer, settings, guarded=True)
        bare = await aside.bare_mint(issuer)
        async with (
            calling(bare, BARE_MINT) as call_bare,
            calling(clear) as call_clear,
            calling(guarded) as call_guarded,
            httpx.AsyncClient(trust_env=False) as http,
        ):
            for number in range(effort.rounds + 1):
                # The first round warms up and does not count.
                into = measured if number else SinglesMeasured()
                into.redis.latencies += [await timed(redis_get) for _ in range(effort.calls)]
                into.post.latencies += [await timed(_post(http, issuer)) for _ in range(effort.calls)]
                await _mints(bare, call_bare, effort.calls, into.bare)
                await _mints(clear, call_clear, effort.calls, into.clear)
                await _mints(guarded, call_guarded, effort.calls, into.guarded)
        measured.source.extend(await asyncio.to_thread(_reads, clear, effort))
    return measured


async def _mints(program: Program, caller: Caller, calls: int, into: Timed) -> None:
    before = program.cpu()
    requests = [request(fresh_audience()) for _ in range(calls)]
    into.latencies += [await timed(partial(caller, one)) for one in requests]
    await asyncio.sleep(SETTLE)
    into.cpu.append((program.cpu() - before) / calls)


def _post(http: httpx.AsyncClient, issuer: Issuer) -> Call:
    """The same POST as the server's, on a kept connection."""
    body = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": issuer.secret,
        "audience": fresh_audience(),
    }

    async def post() -> None:
        (await http.post(issuer.token_url, json=body)).raise_for_status()

    return post


def _reads(program: Program, effort: SinglesEffort) -> Sequence[float]:
    with TokenSource(CLIENT, fresh_audience(), SCOPES, via=program.target) as source:
        return [_per_read(source.get, effort.reads) for _ in range(effort.rounds)]


def _per_read(read: Callable[[], object], reads: int) -> float:
    return timeit.timeit(read, timer=time.process_time, number=reads) / reads


@asynccontextmanager
async def _redis_get() -> AsyncGenerator[Call]:
    """A GET of a text as long as a token, by redis-py, over a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="mintonce-bench-") as directory:
        async with EmbeddedValkey(Path(directory), persist=False) as valkey:
            # redis-py leaves the types of its **kwargs open.
            redis = Redis.from_url(valkey.url, protocol=2, socket_timeout=5.0)
            client = cast(_Client, redis)
            try:
                await client.set("bench", "t" * TOKEN_CHARACTERS, ex=3600)
                yield lambda: client.get("bench")
            finally:
                await client.aclose()


def singles_report(of: SinglesMeasured) -> str:
    """The table."""
    rows = [
        ("TokenSource.get", "-", duration(median(of.source)), "-", "the caller's own memory (CPU)"),
        ("Redis GET", *_times(of.redis), "redis-py, Unix socket, a text as long as a token"),
        ("POST to the issuer", *_times(of.post), "httpx, connection kept"),
        ("bare mint", *_times(of.bare), "the same round trips by grpcio, redis-py and httpx, and nothing else"),
        ("cold GetToken, in clear", *_times(of.clear), f"mint and store; {_over(of.clear, of.bare)} the bare mint"),
        ("cold GetToken, guarded", *_times(of.guarded), f"the same; {_over(of.guarded, of.bare)} the bare mint"),
    ]
    return f"""\
One call at a time

{table(("", "server CPU", "p50", "p99", ""), rows)}

server CPU: per call, with what is left to do after the answer; median of the rounds."""


def _times(of: Timed) -> tuple[str, str, str]:
    cpu = duration(median(of.cpu)) if of.cpu else "-"
    return cpu, duration(percentile(of.latencies, 50)), duration(percentile(of.latencies, 99))


def _over(of: Timed, base: Timed) -> str:
    return f"{median(of.latencies) / median(base.latencies):.2f} times"
