"""A replica that holds very many keys: what each costs it in memory and CPU, and what it costs the store."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis

from bench.fleet.jobs import run_gets
from bench.fleet.methods import CLIENT
from bench.fleet.process import cpu_seconds, resident_bytes
from bench.fleet.programs import Program, Surroundings, surroundings
from bench.fleet.singles import Gets, numbered_audience
from bench.methods import TOKEN_CHARACTERS
from mintonce_server.app import identities_of
from mintonce_server.config import load
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Lease, Refusal
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted
from mintonce_server.observability.clock import SystemClock
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.names import USUAL
from mintonce_server.store.redis import RedisStore

UNDER_WAY: Final = 16
WARM_UP: Final = 500
"""Keys before the first look: what gRPC, httpx and redis-py take once is not the keys'."""
STEP: Final = 0.25
STEPS: Final = 10
LEAST_STEP: Final = 1000
UNBOUNDED: Final = {"LIMITS__MAX_KEYS_PER_CLIENT": "1000000", "LIMITS__MINT_BURST": "1000000"}
"""Each first call for a key counts as one that may cause a mint."""


@dataclass(frozen=True)
class KeysEffort:
    """How many keys; seconds until what the calls set off is over, and seconds of idleness after that; how many keys
    are refreshed, with tokens of which lifetime.
    """

    keys: int
    settle: float
    idle: float
    refreshed: int
    lifetime: float


@dataclass(frozen=True)
class KeysMeasured:
    """Bytes per key are beyond the token's text. CPU in seconds, `idle` as a share of one core."""

    keys: int
    server_bytes: float
    store_bytes: float
    record_bytes: int
    meta_bytes: int
    take_cpu: float
    idle: float
    settling: float
    refresh_cpu: float
    refreshed: int


class _Client(Protocol):
    """What is used of redis-py's client, with the types that it leaves open."""

    def info(self, section: str) -> Awaitable[dict[str, Any]]: ...
    def memory_usage(self, key: str, samples: int) -> Awaitable[int | None]: ...
    async def aclose(self) -> None: ...


async def measure_keys(effort: KeysEffort) -> KeysMeasured:
    """Two or three minutes with 100,000 keys."""
    async with surroundings() as here:
        redis = cast(_Client, Redis.from_url(here.redis_url))  # pyright: ignore[reportUnknownMemberType] - redis-py: **kwargs
        try:
            return await _measure(here, redis, effort)
        finally:
            await redis.aclose()


async def _measure(here: Surroundings, redis: _Client, effort: KeysEffort) -> KeysMeasured:
    issuer = await here.issuer()
    replica = await here.replica(issuer, **UNBOUNDED)
    # As the replica names its keys.
    hasher = KeyHasher(FIXED_KEYRING.index_key, identities_of(load(None, here.environ(issuer))))
    await _fill(here.redis_url, hasher, 0, WARM_UP)
    await run_gets(Gets(replica.target, 0, WARM_UP, UNDER_WAY))
    store_before, server_before = await _used(redis), resident_bytes(replica.pid)
    cpu = cpu_seconds(replica.pid)
    await _fill_and_get(here, hasher, replica, effort.keys)
    taken = cpu_seconds(replica.pid) - cpu
    store_used = await _used(redis) - store_before
    record, meta = await _sizes(redis, hasher)
    settling = await _share(replica, effort.settle)
    idle = await _share(replica, effort.idle)
    held = resident_bytes(replica.pid) - server_before
    refresh_cpu, refreshed = await _refresh(here, effort)
    return KeysMeasured(
        keys=effort.keys,
        server_bytes=held / effort.keys - TOKEN_CHARACTERS,
        store_bytes=store_used / effort.keys - TOKEN_CHARACTERS,
        record_bytes=record,
        meta_bytes=meta,
        take_cpu=taken / effort.keys,
        idle=idle,
        settling=settling,
        refresh_cpu=refresh_cpu,
        refreshed=refreshed,
    )


async def _fill_and_get(here: Surroundings, hasher: KeyHasher, replica: Program, keys: int) -> None:
    """What is asked for in one step was put into the store in the step before: two cores, half the time."""
    size = max(LEAST_STEP, -(-keys // STEPS))
    await _fill(here.redis_url, hasher, WARM_UP, min(size, keys))
    for first in range(WARM_UP, WARM_UP + keys, size):
        left = WARM_UP + keys - first
        await asyncio.gather(
            run_gets(Gets(replica.target, first, min(size, left), UNDER_WAY)),
            _fill(here.redis_url, hasher, first + size, max(0, min(size, left - size))),
        )


async def _fill(url: str, hasher: KeyHasher, first: int, count: int) -> None:
    """Tokens as another replica would have committed them, by the product's own store."""
    clock = SystemClock()
    store = RedisStore.connect(url, hasher=hasher, clock=clock, deadline=5.0)
    numbers = iter(range(first, first + count))

    async def commit(numbers: Iterable[int]) -> None:
        for number in numbers:
            key = TokenKey.of(CLIENT, numbered_audience(number), ())
            now = clock.monotonic()
            lease = Lease(key, secrets.token_hex(16), 1, int(clock.unix() * 1000), now + 3.0, clock.unix() - now)
            text = secrets.token_urlsafe(TOKEN_CHARACTERS)[:TOKEN_CHARACTERS]
            committed = await store.commit(lease, Minted(Secret(text), "Bearer", 86_400.0, now, ()))
            if isinstance(committed, Refusal):
                raise RuntimeError(f"the store refused a token: {committed}")

    try:
        await asyncio.gather(*(commit(numbers) for _ in range(UNDER_WAY)))
    finally:
        await store.close()


async def _used(redis: _Client) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def _sizes(redis: _Client, hasher: KeyHasher) -> Sequence[int]:
    """What a record and a meta hash take, of the first key."""
    record, _, meta = USUAL.keys(hasher(TokenKey.of(CLIENT, numbered_audience(0), ())))
    return [await redis.memory_usage(name, samples=0) or 0 for name in (record, meta)]


async def _share(replica: Program, seconds: float) -> float:
    """Of a core, that the replica uses over so many seconds from now."""
    cpu, began = cpu_seconds(replica.pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_seconds(replica.pid) - cpu) / (time.monotonic() - began)


async def _refresh(here: Surroundings, effort: KeysEffort) -> tuple[float, int]:
    """Seconds of the replica's CPU for each successor that it minted ahead of time, and how many these were.

    On a busy machine a token may die before its turn: nobody asks for it any more, so it has no successor.
    """
    issuer = await here.issuer(effort.lifetime)
    # Keys that nobody has yet.
    first = WARM_UP + effort.keys
    replica = await here.replica(issuer)
    for _ in range(2):  # a key that is asked for once gets no successor
        await run_gets(Gets(replica.target, first, effort.refreshed, UNDER_WAY))
    before, cpu, began = await issuer.minted(), cpu_seconds(replica.pid), time.monotonic()
    minted = 0
    while minted < effort.refreshed and time.monotonic() - began < 1.5 * effort.lifetime:
        await asyncio.sleep(STEP)
        minted = await issuer.minted() - before
    if not minted:
        raise RuntimeError("no key was refreshed")
    return (cpu_seconds(replica.pid) - cpu) / minted, minted
