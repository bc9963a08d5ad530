"""The real side of the comparison: the product's store on a real server, and what lies in that server."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple, Self, TypeVar, cast

from model.values import Lease, Meta, Record, State
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from stateful.translating import said

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.ports import Wake
from mintonce_server.store.names import USUAL
from mintonce_server.store.record import decode
from mintonce_server.store.scripts import BRIEF_MS, META_MS
from support.options import redis_store
from support.samples import HASHER, KEY

T = TypeVar("T")
LEASE_SECONDS = 600.0
HASH = HASHER(KEY)
RECORD, LEASE, META = USUAL.keys(HASH)
SLOW_MS = 5_000
"""No test stops for longer than this between an act and a look at what it did."""


class Look(NamedTuple):
    """What the server held at one moment of its clock, in ms."""

    now: int
    state: State


class StoreSide:
    """One connection for the product, one that looks, one that hears. It has an event loop of its own."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self.clock = SystemClock()
        self.store = redis_store(url, hasher=HASHER, clock=self.clock, lease_seconds=LEASE_SECONDS, deadline=5.0)
        self._client: Any = Redis.from_url(url, protocol=2)
        pool: Any = self._client.connection_pool
        self._ear: AbstractConnection = pool.make_connection()

    def __enter__(self) -> Self:
        self.run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._close())
        self._runner.close()

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """To its end."""
        return self._runner.run(act)

    def command(self, *words: str | int) -> object:
        """Sends one command as it is."""
        return self.run(self._command(words))

    async def _command(self, words: tuple[str | int, ...]) -> object:
        return await self._client.execute_command(*words)

    def look(self) -> Look:
        """At all three keys at one moment. Fails if one would stay forever, or for another time than it says."""
        return self.run(self._look())

    def heard(self) -> list[Wake | None]:
        """What was told since the last time."""
        return self.run(self._heard())

    async def _listen(self) -> None:
        await self._ear.connect()  # type: ignore[no-untyped-call] # redis-py gives no types here
        await self._ear.send_command("SUBSCRIBE", USUAL.wake_channel)
        await self._ear.read_response()

    async def _heard(self) -> list[Wake | None]:
        # The server answers in order: what was published before this PING comes before its answer.
        await self._ear.send_command("PING")
        told: list[Wake | None] = []
        while True:
            match cast(object, await self._ear.read_response(timeout=5.0)):
                case [b"message", bytes(), bytes(text)]:
                    told.append(self.store._notifications.decode(text))
                case _:
                    return told

    async def _look(self) -> Look:
        async with self._client.pipeline(transaction=True) as together:
            together.time()
            for name in (RECORD, LEASE, META):
                together.hgetall(name)
                together.pttl(name)
            (seconds, micros), *found = cast(list[Any], await together.execute())
        now = seconds * 1000 + micros // 1000
        (record, record_left), (lease, lease_left), (meta, meta_left) = zip(found[::2], found[1::2], strict=True)
        state = State(_record(_text(self._opened(record))), _lease(_text(lease), now + lease_left), _meta(_text(meta)))
        least = record_left + BRIEF_MS if state.record else BRIEF_MS
        assert not meta or least - SLOW_MS < meta_left <= META_MS, meta_left
        assert not lease or 0 < lease_left <= LEASE_SECONDS * 1000, lease_left
        assert not state.record or abs(now + record_left - state.record.expiry) <= 1, record_left
        return Look(now, state)

    def _opened(self, record: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """With its payload in clear, as the model has it."""
        if not record:
            return record
        sealed, generation = record[b"payload"], int(record[b"f"])
        payload = decode(self.store._sealer.open(sealed, HASH, generation))
        assert payload is not None
        assert int(record[b"exp"]) <= payload.expiry, "no reader would believe it"
        return {**record, b"payload": said(payload).encode()}

    async def _close(self) -> None:
        await self._ear.disconnect()
        await self._client.aclose()
        await self.store.close()


def _text(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def _record(fields: dict[str, str]) -> Record | None:
    if not fields:
        return None
    f, expiry, cv, leeway, cap = (int(fields.pop(name)) for name in ("f", "exp", "cv", "leeway", "cap"))
    texts = fields.pop("payload"), fields.pop("print")
    record = Record(f, expiry, cv, leeway, cap, *texts, int(fields.pop("provisional")))
    assert not fields, f"the model does not know {sorted(fields)} of a record"
    return record


def _lease(fields: dict[str, str], lapses: int) -> Lease | None:
    if not fields:
        return None
    assert sorted(fields) == ["f", "nonce"], f"the model does not know this lease: {sorted(fields)}"
    return Lease(fields["nonce"], int(fields["f"]), lapses)


def _meta(fields: dict[str, str]) -> Meta:
    meta = Meta(
        generation=int(fields.pop("f", 0)),
        barrier=int(fields.pop("bar", 0)),
        version=int(fields.pop("cv", 0)),
        failures=int(fields.pop("n", 0)),
        until=int(fields.pop("until", 0)),
        failure=fields.pop("failure", ""),
        until_version=int(fields.pop("until_cv", 0)),
        while_live=fields.pop("while_live", "0") == "1",
        rejected=int(fields.pop("rejected", 0)),
        rejected_as=int(fields.pop("rejected_as", 0)),
        rejected_print=fields.pop("rejected_print", ""),
        rejected_at=int(fields.pop("rejected_at", 0)),
    )
    assert not fields, f"the model does not know {sorted(fields)} of a meta"
    return meta
