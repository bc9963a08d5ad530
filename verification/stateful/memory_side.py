"""The memory store in the place of a real server: the machine that tests the Lua then tests it too."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from model.values import Lease, Meta, Record, State
from stateful.store_side import HASH, LEASE, LEASE_SECONDS, RECORD, Look
from stateful.translating import said

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.ports import Wake
from mintonce_server.store import MemoryStore, memory_values
from mintonce_server.store.memory_server import MemoryServer
from mintonce_server.store.memory_values import MemoryEntry
from support.samples import HASHER

T = TypeVar("T")


class MemorySide:
    """Does for a MemoryServer what StoreSide does for a Redis."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self.clock = SystemClock()
        self._server = MemoryServer(self.clock)
        self.store = MemoryStore(HASHER, self.clock, LEASE_SECONDS, self._server)
        self._heard: list[Wake] = []

    def __enter__(self) -> Self:
        self._server.subscribe(self._heard.append)
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """To its end."""
        return self._runner.run(act)

    def command(self, *words: str | int) -> object:
        """What the command of a Redis would do, for the few that the machine uses."""
        entry, now = self._server.entries.get(HASH), self._server.now()
        match words:
            case ("FLUSHALL",):
                self._server.entries.clear()
            case ("SCRIPT", "FLUSH"):
                pass
            case ("PEXPIRE", name, int(ms)) if entry and name == LEASE and entry.lease:
                entry.lease.ends = now + ms
            case ("PEXPIRE", name, 0) if entry and name == RECORD:
                entry.record = None
            case ("HSET", _, str(field), int(value)) if entry:
                setattr(entry.meta, field, value)
            case _:
                raise AssertionError(words)
        return None

    def look(self) -> Look:
        """At what it holds."""
        now = self._server.now()
        entry = self._server.entries.get(HASH)
        return Look(now, _state(entry).at(now) if entry else State())

    def heard(self) -> list[Wake]:
        """What was told since the last time."""
        heard, self._heard[:] = list(self._heard), []
        return heard


def _state(entry: MemoryEntry) -> State:
    record, lease, meta = entry.record, entry.lease, entry.meta
    failure = f"{meta.failure.reason} {meta.failure.issuer_error}" if meta.failure else ""
    while_live = meta.failure is not None and meta.failure.while_live
    return State(
        _record(record) if record else None,
        Lease(lease.nonce, lease.f, lease.ends) if lease else None,
        Meta(
            meta.f, meta.bar, meta.cv, meta.n, meta.until, failure, meta.until_cv, while_live, meta.rejected or 0,
            meta.rejected_as, meta.rejected_print, meta.rejected_at,
        ),
    )  # fmt: skip


def _record(record: memory_values.Record) -> Record:
    return Record(
        record.f, record.exp, record.cv, record.leeway, record.cap, said(record.payload), record.fingerprint,
        record.provisional,
    )  # fmt: skip
