"""Reads records without touching leases, by plain commands: scripts cannot be pipelined across a Cluster."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import Clock
from mintonce_server.core.token import Token
from mintonce_server.store.link import Link
from mintonce_server.store.opening import Opening
from mintonce_server.store.record import FIELDS, Row, number_in
from mintonce_server.store.scripts import hash_of, record_key

LIST_DEADLINE: Final = 5.0
"""Seconds: a list walks through the whole store, which no caller waits for on a hot path."""

BATCH: Final = 500


class Reader:
    """Loads tokens by key and lists them by client."""

    def __init__(self, link: Link, hasher: KeyHasher, clock: Clock, opening: Opening) -> None:
        self._link = link
        self._hash = hasher
        self._clock = clock
        self._opening = opening

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | None]:
        """The live tokens, in the order of the keys."""
        hashes = [self._hash(key) for key in keys]
        asked_at = self._clock.monotonic()
        rows = await self._link.run(lambda: self._rows(hashes))
        named = zip(keys, hashes, rows, strict=True)
        return [row.token(key, key_hash, asked_at, self._opening) if row else None for key, key_hash, row in named]

    async def generations(self, keys: Sequence[TokenKey]) -> list[int]:
        """The records' generations, 0 where there is none: the cheapest question there is, one command a key."""
        names = [record_key(self._hash(key)) for key in keys]
        return await self._link.run(lambda: self._generations(names))

    async def of_client(self, client: str, limit: int) -> list[Token]:
        """At most `limit` live tokens of a client, or ("") of all."""
        return await self._link.run(lambda: self._of_client(client, limit), deadline=LIST_DEADLINE)

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        await self._link.run(self._link.client.ping)

    async def everything(self) -> AsyncIterator[tuple[str, Row | None]]:
        """Each record with its key's hash, for as long as it takes. Raises StoreUnavailable, also if it broke off."""
        walk = self._walk()
        while hashes := await self._link.run(lambda: _next(walk), deadline=LIST_DEADLINE):
            rows = await self._link.run(partial(self._rows, hashes), deadline=LIST_DEADLINE)
            for key_hash, row in zip(hashes, rows, strict=True):
                yield key_hash, row

    async def _of_client(self, client: str, limit: int) -> list[Token]:
        tokens: dict[str, Token] = {}
        async for hashes in self._batches():
            asked_at = self._clock.monotonic()
            for key_hash, row in zip(hashes, await self._rows(hashes), strict=True):
                token = row.named(self._hash, key_hash, asked_at, self._opening) if row else None
                if token and client in ("", token.key.client):
                    tokens[key_hash] = token
            if len(tokens) >= limit:
                break
        return list(tokens.values())[:limit]

    async def _walk(self) -> AsyncIterator[list[str]]:
        async for batch in self._batches():
            yield batch
        yield []

    async def _batches(self) -> AsyncIterator[list[str]]:
        batch: list[str] = []
        async for name in self._link.client.scan_iter(match=record_key("*"), count=BATCH):
            batch.append(hash_of(name))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _generations(self, names: Sequence[str]) -> list[int]:
        async with self._link.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(name, "f")
            replies = await pipeline.execute()
        return [number_in(reply) for reply in replies]

    async def _rows(self, hashes: Sequence[str]) -> list[Row | None]:
        """The records under these names. A record replaced between two of its commands is read again."""
        async with self._link.client.pipeline(transaction=False) as pipeline:
            for name in map(record_key, hashes):
                # `f` first: if it is still the same in the fields, the TTL between them belongs to that record.
                pipeline.hget(name, "f")
                pipeline.pttl(name)
                pipeline.hmget(name, FIELDS)
            replies = await pipeline.execute()
        rows: list[Row | None] = []
        for index, key_hash in enumerate(hashes):
            generation, ttl, fields = replies[3 * index : 3 * index + 3]
            if isinstance(ttl, int) and Row.generation_in(fields) == generation:
                rows.append(Row.read(fields, ttl))
            else:
                rows += await self._rows([key_hash])
        return rows


async def _next(walk: AsyncIterator[list[str]]) -> list[str]:
    """The next batch, or [] at the end, which a walk says itself: one that raised gives nothing more, either."""
    batch = await anext(walk, None)
    if batch is None:
        raise ConnectionAbortedError
    return batch
