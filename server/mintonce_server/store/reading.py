"""Reads records with plain commands, without leases: scripts cannot be pipelined across a Cluster."""

from asyncio import timeout
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final, TypeVar, cast

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Listing
from mintonce_server.core.token import Token
from mintonce_server.store.link import Link, raise_if_cancelled
from mintonce_server.store.names import Names, hash_of
from mintonce_server.store.record import FIELDS, Row, number_in
from mintonce_server.store.sealing import RecordOpener
from mintonce_server.store.topology.servers import Scannable

LIST_DEADLINE: Final = 5.0
"""Seconds. A list scans the whole store; it is not part of any hot path."""

AGAIN_SHARE: Final = 0.2
"""Of an operation's deadline, for reading again the records that were replaced meanwhile. The other rows are kept."""

BATCH: Final = 50
"""Records that are read and opened at a time. Other calls wait for a few milliseconds meanwhile."""
T = TypeVar("T")


class Reader:
    """Loads tokens by key and lists them by client."""

    def __init__(self, link: Link, hasher: KeyHasher, clock: Clock, opening: RecordOpener) -> None:
        self._link = link
        self._hash = hasher
        self._clock = clock
        self._opening = opening

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        """The live tokens, in the order of the keys, with an error for each key whose server failed."""
        hashes = [self._hash(key) for key in keys]
        asked_at = self._clock.monotonic()
        rows = await self._link.run(lambda: self._rows(hashes), name="load")
        found: list[Token | StoreUnavailable | None] = []
        for key, key_hash, row in zip(keys, hashes, rows, strict=True):
            if isinstance(row, Exception):
                found.append(self._partial(row))
                continue
            with self._link.reading():
                found.append(row.token(key, key_hash, asked_at, self._opening) if row else None)
        return found

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        """The records' generations, 0 for no record. The cheapest check: one command for each key."""
        names = [self._link.names.record(self._hash(key)) for key in keys]
        replies = await self._link.run(lambda: self._generations(names), name="generations")
        return [self._partial(reply) if isinstance(reply, Exception) else number_in(reply) for reply in replies]

    async def listing(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens that `wanted` selects, of one client or ("") of all."""
        return await self._link.run(lambda: self._list(client, limit, wanted), name="list", deadline=LIST_DEADLINE)

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        answer = await self._link.run(self._link.client.ping, name="ping")
        with self._link.reading():
            if answer is not True:
                raise ValueError("no answer to a PING")

    async def everything(self) -> AsyncIterator[tuple[str, Row | None]]:
        """Each record with its key's hash, without a time limit. Raises StoreUnavailable, also if it is incomplete."""
        walk = self._walk()
        while hashes := await self._link.run(lambda: _next(walk), name="list", deadline=LIST_DEADLINE):
            rows = await self._link.run(partial(self._rows, hashes), name="list", deadline=LIST_DEADLINE)
            for key_hash, row in zip(hashes, rows, strict=True):
                if isinstance(row, Exception):
                    raise self._partial(row)
                yield key_hash, row

    async def _list(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        tokens: dict[str, Token] = {}
        failures: list[Exception] = []
        shards = await self._link.shards()
        for shard in shards:
            try:
                async for hashes in _batches(shard.client, self._link.names):
                    raise_if_cancelled()  # a batch that keeps its answers may have swallowed the deadline
                    tokens |= await self._named(hashes, lambda t: client in ("", t.key.client) and wanted(t))
                    if len(tokens) > limit:
                        return Listing(list(tokens.values())[:limit], truncated=True)
            except Exception as error:  # noqa: BLE001 - the failure of this shard
                failures.append(error)
        if len(failures) == len(shards):
            raise failures[0]
        return Listing(list(tokens.values()), truncated=bool(failures))

    async def _named(self, hashes: Sequence[str], wanted: Callable[[Token], bool]) -> dict[str, Token]:
        """The tokens under these names that `wanted` selects."""
        asked_at = self._clock.monotonic()
        found: dict[str, Token] = {}
        for key_hash, row in zip(hashes, await self._rows(hashes), strict=True):
            if isinstance(row, Exception):
                continue  # another server has the key now, or it is of another type: no token to list
            token = row.named(self._hash, key_hash, asked_at, self._opening) if row else None
            if token and wanted(token):
                found[key_hash] = token
        return found

    async def _walk(self) -> AsyncIterator[list[str]]:
        for shard in await self._link.shards():
            async for batch in _batches(shard.client, self._link.names):
                yield batch
        yield []

    async def _generations(self, names: Sequence[str]) -> list[object]:
        async with self._link.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(name, "f")
            return _some(await pipeline.execute(raise_on_error=False))

    async def _rows(self, hashes: Sequence[str]) -> list[Row | Exception | None]:
        """The records under these names. A record that is replaced between two of its commands is read again."""
        async with self._link.client.pipeline(transaction=False) as pipeline:
            for name in map(self._link.names.record, hashes):
                # `f` twice: if it is unchanged in the fields, the TTL in between belongs to that record.
                pipeline.hget(name, "f")
                pipeline.pttl(name)
                pipeline.time()
                pipeline.hmget(name, FIELDS)
            replies = _some(await pipeline.execute(raise_on_error=False))
        rows: list[Row | Exception | None] = []
        replaced: list[int] = []
        for index in range(len(hashes)):
            answers = replies[4 * index : 4 * index + 4]
            error = next((answer for answer in answers if isinstance(answer, Exception)), None)
            generation, ttl, time, fields = answers
            if error is not None:
                rows.append(error)
            elif isinstance(ttl, int) and Row.generation_in(fields) == generation:
                seconds, micros = cast(tuple[int, int], time)
                rows.append(Row.read(fields, ttl, seconds * 1000 + micros // 1000))
            else:
                rows.append(None)
                replaced.append(index)
        again = await self._again([hashes[index] for index in replaced])
        for index, row in zip(replaced, again, strict=True):
            rows[index] = row
        return _some(rows)

    async def _again(self, hashes: Sequence[str]) -> Sequence[Row | Exception | None]:
        """Records that were replaced while they were read. Their errors do not affect the others."""
        if not hashes:
            return []
        try:
            async with timeout(AGAIN_SHARE * self._link.deadline):
                return await self._rows(hashes)
        except Exception as error:  # noqa: BLE001 - the answer to these keys
            return [error] * len(hashes)

    def _partial(self, error: Exception) -> StoreUnavailable:
        """The error of one key, while others were answered."""
        failure = self._link.unavailable(error)
        failure.partial = True
        return failure


def _some(replies: list[T]) -> list[T]:
    """The replies. Raises the first exception if there are only exceptions."""
    errors = [reply for reply in replies if isinstance(reply, Exception)]
    if errors and len(errors) == len(replies):
        raise errors[0]
    return replies


async def _batches(shard: Scannable, names: Names) -> AsyncIterator[list[str]]:
    """The hashes of all records of one server."""
    batch: list[str] = []
    async for name in shard.scan_iter(match=names.records, count=BATCH):
        batch.append(hash_of(name))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _next(walk: AsyncIterator[list[str]]) -> list[str]:
    """The next batch. A walk ends with []; one that ends without it has raised before, and is incomplete."""
    batch = await anext(walk, None)
    if batch is None:
        raise ConnectionAbortedError
    return batch
