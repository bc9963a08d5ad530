"""Many keys in one server: what each costs in memory and CPU, in the server and in the store."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis

from bench.calls import all_of, calling, numbered_audience, request
from bench.figures import duration, table
from bench.programs import Program, Surroundings, surroundings

UNDER_WAY: Final = 16
WARM_UP: Final = 200
"""Keys before the first measurement, so that what gRPC, httpx and redis-py allocate once does not count."""
STEP: Final = 0.25
KIB: Final = 1024
UNBOUNDED: Final = {"LIMITS__MAX_KEYS_PER_CLIENT": "1000000", "LIMITS__MINT_BURST": "1000000"}
"""The first call for a key counts as one that can cause a mint."""


@dataclass(frozen=True)
class KeysEffort:
    """How many keys; seconds until the work that the calls caused is done, and seconds of idleness after that; how
    many keys are refreshed, and the lifetime of their tokens.
    """

    keys: int
    settle: float
    idle: float
    refreshed: int
    lifetime: float


@dataclass(frozen=True)
class KeysMeasured:
    """Bytes and seconds of CPU per key; `settling` and `idle` as a share of one core."""

    keys: int
    server_bytes: float
    store_bytes: float
    mint_cpu: float
    take_cpu: float
    settling: float
    idle: float
    refresh_cpu: float
    refreshed: int


class _Client(Protocol):
    """What is used of redis-py's client, with the types that it leaves open."""

    def info(self, section: str) -> Awaitable[dict[str, Any]]: ...
    async def aclose(self) -> None: ...


async def measure_keys(effort: KeysEffort) -> KeysMeasured:
    """One server mints every key, a second one takes them from the store. Three minutes with FULL."""
    async with surroundings() as here:
        redis = cast(_Client, Redis.from_url(here.redis_url))
        try:
            return await _measure(here, redis, effort)
        finally:
            await redis.aclose()


async def _measure(here: Surroundings, redis: _Client, effort: KeysEffort) -> KeysMeasured:
    issuer = await here.issuer()
    minting, taking = await here.server(issuer, UNBOUNDED), await here.server(issuer, UNBOUNDED)
    for server in (minting, taking):
        await _get(server, 0, WARM_UP)
    store, resident = await _used(redis), taking.resident_bytes()
    mint_cpu = await _get(minting, WARM_UP, effort.keys)
    store_bytes = await _used(redis) - store
    take_cpu = await _get(taking, WARM_UP, effort.keys)
    settling = await _share(taking, effort.settle)
    idle = await _share(taking, effort.idle)
    server_bytes = taking.resident_bytes() - resident
    refresh_cpu, refreshed = await _refresh(here, effort)
    return KeysMeasured(
        keys=effort.keys,
        server_bytes=server_bytes / effort.keys,
        store_bytes=store_bytes / effort.keys,
        mint_cpu=mint_cpu,
        take_cpu=take_cpu,
        settling=settling,
        idle=idle,
        refresh_cpu=refresh_cpu,
        refreshed=refreshed,
    )


async def _get(server: Program, first: int, count: int) -> float:
    """Asks for keys by number. Returns the seconds of the server's CPU per key."""
    before = server.cpu()
    async with calling(server) as caller:
        requests = (request(numbered_audience(number)) for number in range(first, first + count))
        await all_of(caller, requests, UNDER_WAY)
    return (server.cpu() - before) / count


async def _used(redis: _Client) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def _share(server: Program, seconds: float) -> float:
    """Of one core, that the server uses during so many seconds from now."""
    cpu, began = server.cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    return (server.cpu() - cpu) / (time.monotonic() - began)


async def _refresh(here: Surroundings, effort: KeysEffort) -> tuple[float, int]:
    """Seconds of the server's CPU for each token that it replaced ahead of time, and how many it replaced."""
    issuer = await here.issuer(effort.lifetime)
    server = await here.server(issuer)
    first = WARM_UP + effort.keys  # keys that no server has yet
    for _ in range(2):  # a key that is asked for only once is not refreshed
        await _get(server, first, effort.refreshed)
    before, cpu, began = await issuer.minted(), server.cpu(), time.monotonic()
    minted = 0
    while minted < effort.refreshed and time.monotonic() - began < 1.5 * effort.lifetime:
        await asyncio.sleep(STEP)
        minted = await issuer.minted() - before
    if not minted:
        raise RuntimeError("no key was refreshed")
    return (server.cpu() - cpu) / minted, minted


def keys_report(of: KeysMeasured) -> str:
    """The table."""
    rows = [
        ("server, memory per key", _kib(of.server_bytes), "of the server that took the tokens from the store"),
        ("store, memory per key", _kib(of.store_bytes), "record and meta"),
        ("mint, CPU", duration(of.mint_cpu), f"first GetToken of a key, {UNDER_WAY} under way"),
        ("taken from the store, CPU", duration(of.take_cpu), "first GetToken of a key that another server minted"),
        ("refresh ahead, CPU", duration(of.refresh_cpu), f"mean of {of.refreshed:,}"),
        ("just after the calls", f"{of.settling:.2%}", "of one core: revalidation of the keys just used"),
        ("idle", f"{of.idle:.2%}", "of one core, with no calls"),
    ]
    return f"""\
{of.keys:,} keys in one server; sizes include the token's text

{table(("", "amount", ""), rows)}"""


def _kib(size: float) -> str:
    return f"{size / KIB:.2f} KiB"
