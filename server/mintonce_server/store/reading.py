"""Reads records without touching leases, by plain commands: scripts cannot be pipelined across a Cluster."""

from asyncio import timeout
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Final, TypeVar, cast

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Clock, Listing
from mintonce_server.core.token import Token
from mintonce_server.store.commands import Scannable
from mintonce_server.store.link import Link, heed_cancellation
from mintonce_server.store.names import Names, hash_of
from mintonce_server.store.opening import Opening
from mintonce_server.store.record import FIELDS, Row, number_in

LIST_DEADLINE: Final = 5.0
"""Seconds: a list walks through the whole store, which no caller waits for on a hot path."""

AGAIN_SHARE: Final = 0.2
"""Of an operation's deadline, for reading again what was replaced meanwhile: what was read before is kept."""

BATCH: Final = 50
"""Records that are read and opened in one go: other calls wait meanwhile, a few milliseconds."""


T = TypeVar("T")


class Reader:
    """Loads tokens by key and lists them by client."""

    def __init__(self, link: Link, hasher: KeyHasher, clock: Clock, opening: Opening) -> None:
        self._link = link
        self._hash = hasher
        self._clock = clock
        self._opening = opening

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        """The live tokens, in the order of the keys. A key whose server failed has the error."""
        hashes = [self._hash(key) for key in keys]
        asked_at = self._clock.monotonic()
        rows = await self._link.run(lambda: self._rows(hashes))
        found: list[Token | StoreUnavailable | None] = []
        for key, key_hash, row in zip(keys, hashes, rows, strict=True):
            if isinstance(row, Exception):
                found.append(self._trouble_of(row))
                continue
            with self._link.reading():
                found.append(row.token(key, key_hash, asked_at, self._opening) if row else None)
        return found

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        """The records' generations, 0 where there is none: the cheapest question there is, one command a key."""
        names = [self._link.names.record(self._hash(key)) for key in keys]
        replies = await self._link.run(lambda: self._generations(names))
        return [self._trouble_of(reply) if isinstance(reply, Exception) else number_in(reply) for reply in replies]

    async def listing(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens of a client, or ("") of all, out of those that are wanted."""
        return await self._link.run(lambda: self._list(client, limit, wanted), deadline=LIST_DEADLINE)

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        answer = await self._link.run(self._link.client.ping)
        with self._link.reading():
            if answer is not True:
                raise ValueError("no answer to a PING")

    async def everything(self) -> AsyncIterator[tuple[str, Row | None]]:
        """Each record with its key's hash, for as long as it takes. Raises StoreUnavailable, also if it broke off."""
        walk = self._walk()
        while hashes := await self._link.run(lambda: _next(walk), deadline=LIST_DEADLINE):
            rows = await self._link.run(partial(self._rows, hashes), deadline=LIST_DEADLINE)
            for key_hash, row in zip(hashes, rows, strict=True):
                if isinstance(row, Exception):
                    raise self._trouble_of(row)
                yield key_hash, row

    async def _list(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        tokens: dict[str, Token] = {}
        failures: list[Exception] = []
        shards = await self._link.shards()
        for shard in shards:
            try:
                async for hashes in _batches(shard, self._link.names):
                    heed_cancellation()  # a batch that kept its answers may have swallowed the deadline
                    tokens |= await self._named(hashes, lambda t: client in ("", t.key.client) and wanted(t))
                    if len(tokens) > limit:
                        return Listing(list(tokens.values())[:limit], truncated=True)
            except Exception as error:  # noqa: BLE001 - the trouble of this shard
                failures.append(error)
        if len(failures) == len(shards):
            raise failures[0]
        return Listing(list(tokens.values()), truncated=bool(failures))

    async def _named(self, hashes: Sequence[str], wanted: Callable[[Token], bool]) -> dict[str, Token]:
        """The tokens under these names that are wanted."""
        asked_at = self._clock.monotonic()
        found: dict[str, Token] = {}
        for key_hash, row in zip(hashes, await self._rows(hashes), strict=True):
            if isinstance(row, Exception):
                continue  # another server has the key by now, or it is of another type: no token to list
            token = row.named(self._hash, key_hash, asked_at, self._opening) if row else None
            if token and wanted(token):
                found[key_hash] = token
        return found

    async def _walk(self) -> AsyncIterator[list[str]]:
        for shard in await self._link.shards():
            async for batch in _batches(shard, self._link.names):
                yield batch
        yield []

    async def _generations(self, names: Sequence[str]) -> list[object]:
        async with self._link.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(name, "f")
            return _some(await pipeline.execute(raise_on_error=False))

    async def _rows(self, hashes: Sequence[str]) -> list[Row | Exception | None]:
        """The records under these names. A record replaced between two of its commands is read again."""
        async with self._link.client.pipeline(transaction=False) as pipeline:
            for name in map(self._link.names.record, hashes):
                # `f` first: if it is still the same in the fields, the TTL between them belongs to that record.
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
        """What was replaced while it was read. Its trouble is not that of the others."""
        if not hashes:
            return []
        try:
            async with timeout(AGAIN_SHARE * self._link.deadline):
                return await self._rows(hashes)
        except Exception as error:  # noqa: BLE001 - the answer to these keys
            return [error] * len(hashes)

    def _trouble_of(self, error: Exception) -> StoreUnavailable:
        """Of one key, while others were answered."""
        trouble = self._link.unavailable(error)
        trouble.partial = True
        return trouble


def _some(replies: list[T]) -> list[T]:
    """The replies. Raises the first exception when there is nothing else."""
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
    """The next batch, or [] at the end, which a walk says itself: one that raised gives nothing more, either."""
    batch = await anext(walk, None)
    if batch is None:
        raise ConnectionAbortedError
    return batch
