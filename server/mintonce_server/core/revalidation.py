"""Compares what this process holds with the store, and mends whichever of the two is behind."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum, auto
from typing import Any, Final, TypeVar

from mintonce_server.core import events
from mintonce_server.core.holdings import Holdings
from mintonce_server.core.key import TokenKey
from mintonce_server.core.memory import NEVER, Entry
from mintonce_server.core.minting import TOO_SHORT
from mintonce_server.core.ports import Clock, Refusal, TokenStore
from mintonce_server.core.token import Token

RESTORED_AT_ONCE: Final = 16

T = TypeVar("T")


class Verdict(Enum):
    """What the comparison of a generation held here with the store's asks for."""

    NOTHING = auto()
    LOAD = auto()
    RESTORE = auto()
    REJECT = auto()


def judge(held: int, barred: int, stored: int) -> Verdict:
    """Generations, 0 for none: of the live token held here, of the newest rejection known here, and the store's."""
    # 1. The store lost a rejection in a failover: what is rejected stays so.
    if 0 < stored <= barred:
        return Verdict.REJECT
    # 2. Both have the same, or nothing.
    if stored == held:
        return Verdict.NOTHING
    # 3. The fleet is ahead. 4. The store lost it or never got it; or it was rejected, which it will say.
    return Verdict.LOAD if stored > held else Verdict.RESTORE


class Revalidation:
    """Asks the store about entries, and acts on what it says.

    `lost` is called when the store had lost a token that it once held: then it may have lost others.
    """

    def __init__(
        self, store: TokenStore, holdings: Holdings, clock: Clock, sink: events.EventSink, lost: Callable[[], None]
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._clock = clock
        self._sink = sink
        self._lost = lost

    async def confirm(self, entries: Sequence[Entry]) -> None:
        """Afterwards each token held is confirmed, replaced or forgotten. One round trip if nothing is amiss.

        Raises StoreUnavailable, perhaps with some of it done.
        """
        asked_at = self._clock.monotonic()
        stored = await self._store.generations([entry.key for entry in entries])
        self._holdings.store_answered()
        amiss: dict[Verdict, list[tuple[Entry, int]]] = {verdict: [] for verdict in Verdict}
        for entry, generation in zip(entries, stored, strict=True):
            held = entry.live(asked_at)
            entry.confirm(generation, asked_at)
            amiss[judge(held.generation if held else 0, entry.barred, generation)].append((entry, generation))
        for entry, generation in amiss[Verdict.REJECT]:
            await self._store.reject(entry.key, generation, 0.0)
            self._sink(events.Rejected(entry.key_hash, generation, was_current=True))
        await self.load([entry for entry, _ in amiss[Verdict.LOAD]])
        missing = [entry for entry, _ in amiss[Verdict.RESTORE]]
        once_held = {entry.key for entry in missing if entry.confirmed_at != NEVER}
        if once_held & await self._restore(missing):
            self._lost()

    async def load(self, entries: Sequence[Entry]) -> None:
        """Take the fleet's newer tokens. Raises StoreUnavailable."""
        if not entries:
            return
        asked_at = self._clock.monotonic()
        tokens = await self._store.load([entry.key for entry in entries])
        for entry, token in zip(entries, tokens, strict=True):
            if token is not None:
                self._holdings.keep(entry, token, asked_at)
            held = entry.live(asked_at)
            if held is None or (token is not None and token.generation <= held.generation):
                continue
            if await self._give(entry, held) is Refusal.STALE:
                # The newer one is of no use here: of another release, or of replaced credentials. It did not bar ours.
                entry.confirm(held.generation, asked_at)

    async def _restore(self, entries: Sequence[Entry]) -> set[TokenKey]:
        """The keys whose tokens the store has again."""
        restored: set[TokenKey] = set()
        for start in range(0, len(entries), RESTORED_AT_ONCE):
            some = entries[start : start + RESTORED_AT_ONCE]
            answers = await _all_done([self._restore_one(entry) for entry in some])
            await self.load([entry for entry, answer in zip(some, answers, strict=True) if answer is Refusal.STALE])
            restored |= {answer.key for answer in answers if isinstance(answer, Token)}
        return restored

    async def _restore_one(self, entry: Entry) -> Token | Refusal:
        asked_at = self._clock.monotonic()
        held = entry.live(asked_at)
        if held is None or held.remaining(asked_at) <= TOO_SHORT:
            return Refusal.DEAD
        return await self._give(entry, held)

    async def _give(self, entry: Entry, held: Token) -> Token | Refusal:
        asked_at = self._clock.monotonic()
        answer = await self._store.restore(held)
        if answer is Refusal.REJECTED:
            self._holdings.forget(entry, held.generation)
        elif answer is Refusal.OLD_CREDENTIALS:
            # The fleet has newer ones. Where it has no token by them, ours is live all the same, and minting no better.
            entry.confirm(held.generation, asked_at)
        elif not isinstance(answer, Refusal):
            entry.confirm(held.generation, asked_at)
            self._sink(events.Restored(entry.key_hash, held.generation))
        return answer


async def _all_done(acts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, at the same time; if one fails, its exception, after the others have ended too."""
    results = await asyncio.gather(*acts, return_exceptions=True)
    return [_result(result) for result in results]


def _result(result: T | BaseException) -> T:
    if isinstance(result, BaseException):
        raise result
    return result
