"""The fleet's counters, and which replicas run, in Redis."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, cast

from redis.exceptions import ResponseError

from mintonce_server.core.budget import DAYS, Month, Usage
from mintonce_server.core.errors import Reason, StoreUnavailable, UnusableCounter
from mintonce_server.core.events import Cause
from mintonce_server.core.key import KeyHasher
from mintonce_server.core.ports import FAILED, MINT, SERVED, Batch, ReplicaInfo
from mintonce_server.core.text import printable
from mintonce_server.store.link import RETRY_AFTER, Link
from mintonce_server.store.names import hash_of
from mintonce_server.store.reading import BATCH, LIST_DEADLINE
from mintonce_server.store.record import number_in
from mintonce_server.store.script_errors import is_wrong_type
from mintonce_server.store.scripts import Scripts, read_count, read_flag

KEPT_MS: Final = 400 * 86_400_000
"""After its last change, a month is kept so long: a year later it can still be compared."""
BEAT_MS: Final = 60_000
"""A replica that says nothing for so long does not run."""
MAX_REPLICAS: Final = 1000
"""That are listed. Each start leaves an entry for a minute."""

DAY: Final = "day:"
FIELDS: Final = (
    SERVED,
    *(f"{MINT}{cause}" for cause in Cause),
    *(f"{FAILED}{reason}" for reason in Reason),
    *(f"{DAY}{day}" for day in range(1, DAYS + 1)),
)
"""Of a month. A newer release may write more."""

_BEAT_FIELDS: Final = ("version", "started", "address")
_TEXT_MAX: Final = 200


class RedisUsage:
    """Implements core.ports.UsageStore."""

    def __init__(self, link: Link, scripts: Scripts, hasher: KeyHasher) -> None:
        self._link = link
        self._scripts = scripts
        self._hash = hasher

    async def count(self, client: str, batch: Batch) -> tuple[bool, float]:
        """Add a batch once. Whether it is in, and the store's time. False: it is another month."""
        name = self._name(client, batch.month)
        return await self._count(
            name,
            lambda: self._scripts.count(
                name,
                replica=batch.replica,
                number=batch.number,
                ttl=KEPT_MS,
                starts=int(batch.month.starts * 1000),
                ends=int(batch.month.ends * 1000),
                minted=batch.minted,
                counts=batch.counts,
            ),
        )

    async def forget(self, client: str, month: Month, replica: str) -> None:
        """This replica counts no more in this month."""
        name = self._name(client, month)
        await self._count(name, lambda: self._scripts.count(name, replica=replica, number=0, ttl=KEPT_MS, counts={}))

    async def usage(self, months: Sequence[tuple[str, Month]]) -> list[Usage | StoreUnavailable]:
        """The counts of clients and months, in this order, in one round trip."""
        if not months:
            return []
        names = [self._name(client, month) for client, month in months]
        replies = await self._link.run(lambda: self._read(names, FIELDS), name="usage")
        found: list[Usage | StoreUnavailable] = []
        for name, reply in zip(names, replies, strict=True):
            if is_wrong_type(reply):
                found.append(UnusableCounter(name, retry_after=RETRY_AFTER))
                continue
            if isinstance(reply, Exception):
                found.append(self._link.unavailable(reply))
                continue
            with self._link.reading():
                found.append(usage_of(dict(zip(FIELDS, map(number_in, cast(list[object], reply)), strict=True))))
        return found

    async def time(self) -> float:
        """The store's clock, in seconds since 1970."""
        reply = await self._link.run(self._time, name="usage")
        with self._link.reading():
            seconds, micros = cast("tuple[int, int]", reply)
            return seconds + micros / 1_000_000

    async def beat(self, replica: ReplicaInfo) -> None:
        """Say that a replica runs."""
        fields = {"version": replica.version, "started": f"{replica.started:.0f}", "address": replica.address}
        reply = await self._link.run(lambda: self._scripts.beat(replica.id, ttl=BEAT_MS, fields=fields), name="beat")
        with self._link.reading():
            read_flag(reply)

    async def replicas(self) -> list[ReplicaInfo]:
        """The replicas that run, in the order of their ids."""
        return await self._link.run(self._replicas, name="replicas", deadline=LIST_DEADLINE)

    def _name(self, client: str, month: Month) -> str:
        return self._link.names.month(self._hash.of_client(client), str(month))

    async def _count(self, name: str, count: Callable[[], Awaitable[Sequence[object]]]) -> tuple[bool, float]:
        """Run count.lua. A key of another kind is no trouble of the store: the server has answered."""

        async def answer() -> Sequence[object] | None:
            try:
                return await count()
            except ResponseError as error:
                if is_wrong_type(error):
                    return None
                raise

        reply = await self._link.run(answer, name="count")
        if reply is None:
            raise UnusableCounter(name, retry_after=RETRY_AFTER)
        with self._link.reading():
            return read_count(reply)

    async def _time(self) -> object:
        async with self._link.client.pipeline(transaction=False) as pipeline:
            pipeline.hget(self._link.names.replica("none"), "version")  # the clock of the server with this key
            pipeline.time()
            return (await pipeline.execute())[1]

    async def _read(self, names: Sequence[str], fields: Sequence[str]) -> list[object]:
        async with self._link.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hmget(name, fields)
            replies = await pipeline.execute(raise_on_error=False)
        errors = [reply for reply in replies if isinstance(reply, Exception) and not is_wrong_type(reply)]
        if errors and len(errors) == len(replies):
            raise errors[0]
        return replies

    async def _replicas(self) -> list[ReplicaInfo]:
        found: dict[str, ReplicaInfo] = {}
        shards, failures = await self._link.shards(), list[Exception]()
        for shard in shards:
            try:
                ids: list[str] = []
                async for name in shard.client.scan_iter(match=self._link.names.replicas, count=BATCH):
                    ids.append(hash_of(name))
                    if len(ids) == MAX_REPLICAS:
                        break
                found |= await self._named(ids)
            except Exception as error:  # noqa: BLE001 - the failure of this shard
                failures.append(error)
        if failures and len(failures) == len(shards):
            raise failures[0]
        return [found[name] for name in sorted(found)]

    async def _named(self, ids: Sequence[str]) -> dict[str, ReplicaInfo]:
        if not ids:
            return {}
        replies = await self._read([self._link.names.replica(name) for name in ids], _BEAT_FIELDS)
        found: dict[str, ReplicaInfo] = {}
        for name, reply in zip(ids, replies, strict=True):
            values = cast(list[object], reply) if isinstance(reply, list) else []
            if len(values) == len(_BEAT_FIELDS) and all(isinstance(value, bytes) for value in values):
                version, started, address = cast(list[bytes], values)
                found[name] = ReplicaInfo(
                    printable(name, _TEXT_MAX), _text(version), float(number_in(started)), _text(address)
                )
        return found


def usage_of(counts: Mapping[str, int]) -> Usage:
    """From the fields of a month. Missing ones are 0."""
    return Usage(
        minted={cause.value: count for cause in Cause if (count := counts.get(f"{MINT}{cause}", 0))},
        failed={reason.value: count for reason in Reason if (count := counts.get(f"{FAILED}{reason}", 0))},
        served=counts.get(SERVED, 0),
        days=tuple(counts.get(f"{DAY}{day}", 0) for day in range(1, DAYS + 1)),
    )


def _text(value: bytes) -> str:
    return printable(value.decode(errors="replace"), _TEXT_MAX)
