"""Compares what this process holds with the store, and repairs whichever of the two is behind."""

import asyncio
import secrets
from collections.abc import Container, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Final, TypeVar

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.cache import NEVER, Cache, Entry
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.mint import TOO_SHORT
from mintonce_server.core.ports import AcquireRequest, Backoff, Hit, Lease, Refusal, TokenStore, Wait, Wake, WakeKind
from mintonce_server.core.single_flight import Wakeups
from mintonce_server.core.token import Token

RESTORED_AT_ONCE: Final = 16
AT_ONCE: Final = 200
"""Keys that the store is asked about in one round trip: callers wait meanwhile, and its deadline is short."""

T = TypeVar("T")


class Verdict(Enum):
    """What the comparison of a generation held here with the store's asks for."""

    NOTHING = auto()
    LOAD = auto()
    RESTORE = auto()
    ADOPT = auto()
    RAISE = auto()


def judge(held: Token | None, rejected_through: int, stored: int) -> Verdict:
    """The live token held here, the newest rejection known here, and the store's generation; 0 for none."""
    # 1. The store lost a rejection in a failover: what is rejected stays so.
    if 0 < stored <= rejected_through:
        return Verdict.RAISE
    generation = held.generation if held else 0
    # 2. Both have the same, or nothing.
    if stored == generation:
        return Verdict.NOTHING
    # 3. What was minted without the store has no place in its order yet.
    if held and held.provisional:
        return Verdict.ADOPT
    # 4. The fleet is ahead. 5. The store lost it or never got it; or it was rejected, which it will say.
    return Verdict.LOAD if stored > generation else Verdict.RESTORE


class Reconciler:
    """Two endless tasks: `follow` listens to the fleet's wake messages, `run` asks the store about entries.

    Asked about are: entries that a message made suspect, at once; all that are being served, in time; and all that are
    held, after messages may have been lost, or when the store had lost a token that it once held.
    """

    def __init__(
        self,
        store: TokenStore,
        cache: Cache,
        in_flight: Container[TokenKey],
        wakeups: Wakeups,
        clock: Clock,
        sink: events.EventSink,
        min_rotation_interval: float,
    ) -> None:
        """`in_flight`: keys that are being fetched; they need no other question."""
        self._store = store
        self._cache = cache
        self._in_flight = in_flight
        self._wakeups = wakeups
        self._clock = clock
        self._sink = sink
        self._min_rotation_interval = min_rotation_interval
        self._announced: set[TokenKey] = set()
        self._suspected: set[TokenKey] = set()
        self._something_to_ask = asyncio.Event()
        self._numbering: dict[TokenKey, asyncio.Event] = {}

    async def follow(self) -> None:
        """Listen to the fleet, for ever."""
        async for wake in self._store.wakes():
            self.notice(wake)

    def notice(self, wake: Wake) -> None:
        """Act on a hint."""
        if wake.kind is WakeKind.GAP:
            self._wakeups.notify_all()
            self._suspect(self._cache)
            return
        self._wakeups.notify(wake.key_hash)
        entry = self._cache.by_hash(wake.key_hash)
        if entry is None:
            return
        held = entry.live(self._clock.monotonic())
        known = max(held.generation if held else 0, entry.rejected_through)
        if wake.kind is WakeKind.COMMIT and wake.generation > known:
            if entry.key not in self._in_flight:
                self._announced.add(entry.key)
                self._something_to_ask.set()
        elif wake.kind is WakeKind.REJECT:
            if held and held.generation > wake.generation != held.served_as:
                return  # of an older token: replayed messages cause no questions
            entry.doubt()
            self._suspect([entry])
        elif wake.generation <= entry.rejected_through or (held and held.provisional):
            self._suspect([entry])

    async def run(self) -> None:
        """For ever: ask the store about suspect entries at once, and in time about all that are being served."""
        # Twice as often as serving demands: then no caller has to wait for it.
        every = self._cache.confirm_within / 2
        due = self._clock.monotonic() + every
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._clock.monotonic())):
                    await self._something_to_ask.wait()
            # Checked whether or not there was a hint: where hints come all the time, no timeout ever does.
            if (now := self._clock.monotonic()) >= due:
                due = now + every
                self._suspect(entry for entry in self._cache if entry.is_served)
            self._something_to_ask.clear()
            await self._ask()

    def _suspect(self, entries: Iterable[Entry]) -> None:
        self._suspected.update(entry.key for entry in entries)
        self._something_to_ask.set()

    async def _ask(self) -> None:
        announced, self._announced = self._take(self._announced), set()
        suspected, self._suspected = self._take(self._suspected), set()
        chunks = [(self.load, some) for some in _chunks(announced)]
        chunks += [(self.confirm, some) for some in _chunks(suspected)]
        for done, (ask, some) in enumerate(chunks):
            asked_at = self._clock.monotonic()
            try:
                await ask(some)
            except StoreUnavailable as error:
                self._cache.store_failed(some, asked_at, error)
                self._sink(events.StoreFailed("", str(error), minting=False))
                # What an outage leaves undone waits for the next time. Another part of the store may well answer now.
                undone = [some] if error.partial else [entries for _, entries in chunks[done:]]
                self._suspected.update(entry.key for entries in undone for entry in entries)
                if not error.partial:
                    return

    def _take(self, keys: Iterable[TokenKey]) -> list[Entry]:
        """Their entries; those that callers asked for last come first."""
        entries = [entry for key in keys if (entry := self._cache.get(key))]
        return sorted(entries, key=lambda entry: entry.asked_at, reverse=True)

    async def confirm(self, entries: Sequence[Entry]) -> None:
        """Afterwards each token held is confirmed, replaced or evicted. One round trip if nothing is amiss.

        Where a part of the store is away, its keys keep what they have. Raises StoreUnavailable when nothing could be
        asked, or when the store went away in between, with some of it done.
        """
        asked_at = self._clock.monotonic()
        stored = await self._store.generations([entry.key for entry in entries])
        self._cache.store_answered()
        amiss: dict[Verdict, list[Entry]] = {verdict: [] for verdict in Verdict}
        for entry, generation in zip(entries, stored, strict=True):
            if isinstance(generation, StoreUnavailable):
                self._cache.store_failed([entry], asked_at, generation)
                continue
            entry.store_failed_at = NEVER
            entry.confirm(generation, asked_at)
            amiss[judge(entry.live(asked_at), entry.rejected_through, generation)].append(entry)
        for entry in amiss[Verdict.RAISE]:
            # What is held here is newer than the rejection: it takes the place of what the store has.
            amiss[judge(entry.live(asked_at), rejected_through=0, stored=0)].append(entry)
        await self.load(amiss[Verdict.LOAD])
        missing = amiss[Verdict.RESTORE]
        once_held = {entry.key for entry in missing if entry.confirmed_at != NEVER}
        if once_held & await self._restore(missing):
            self._suspect(self._cache)
        await _all_done([self._adopt(entry) for entry in amiss[Verdict.ADOPT]])
        for entry in amiss[Verdict.RAISE]:
            await self._raise_barrier(entry)

    async def load(self, entries: Sequence[Entry]) -> None:
        """Take the fleet's newer tokens. Raises StoreUnavailable."""
        if not entries:
            return
        asked_at = self._clock.monotonic()
        tokens = await self._store.load([entry.key for entry in entries])
        for entry, token in zip(entries, tokens, strict=True):
            if isinstance(token, StoreUnavailable):
                self._cache.store_failed([entry], asked_at, token)
                continue
            if token is not None:
                self._cache.put(entry, token, asked_at)
            held = entry.live(asked_at)
            if held is None or held.provisional or (token is not None and token.generation <= held.generation):
                continue
            if await self._give(entry, held) is Refusal.STALE:
                # The newer one is useless here: of another release, or of replaced credentials. It did not reject ours.
                entry.confirm(held.generation, asked_at)

    async def _raise_barrier(self, entry: Entry) -> None:
        """Once for the fleet: from then on the store gives out higher generations, to all replicas."""
        if entry.live(self._clock.monotonic()) is None and await self._keep_successor(entry):
            return
        rejected_through = entry.rejected_through
        if await self._store.raise_barrier(entry.key, rejected_through, entry.rejected, self._min_rotation_interval):
            self._sink(events.BarrierRaised(entry.key_hash, rejected_through))

    async def _keep_successor(self, entry: Entry) -> bool:
        """Number a token that was minted after the rejection above the barrier. Whether the store has such a token.

        A store that lost its data numbers by its clock again, and what was rejected may have been ahead of that.
        """
        (stored,) = await self._store.load([entry.key])
        if not isinstance(stored, Token) or stored.generation == entry.rejected_through:
            return False
        is_same = stored.access_token.fingerprint() == entry.rejected or stored.minted_at <= entry.rejected_through_at
        if is_same and not stored.reissued:
            return False  # or perhaps one that was rejected before
        if entry.live(self._clock.monotonic()) is None:  # else it was numbered meanwhile
            await self._number(entry, stored)
        return True

    async def _adopt(self, entry: Entry) -> None:
        """Get a number of the store's for a token that was minted without it; or take what the fleet has since."""
        held = entry.live(self._clock.monotonic())
        if held is not None and held.provisional:
            await self._number(entry, held)

    async def _number(self, entry: Entry, live: Token) -> None:
        """Have the store number this token above all that was seen here; or take a newer one that the fleet has.

        One such question a key at a time: a second one waits for the first, and does not ask.
        """
        if under_way := self._numbering.get(entry.key):
            await under_way.wait()
            return
        self._numbering[entry.key] = done = asyncio.Event()
        try:
            await self._ask_for_number(entry, live)
        finally:
            del self._numbering[entry.key]
            done.set()

    async def _ask_for_number(self, entry: Entry, live: Token) -> None:
        asked_at = self._clock.monotonic()
        if live.remaining(asked_at) <= TOO_SHORT:
            return
        newest = max(entry.newest, live.generation)
        request = AcquireRequest(secrets.token_hex(16), live.credential_version, newer_than=newest, adopt=True)
        match await self._store.acquire(entry.key, request):
            case Hit(token):
                self._cache.put(entry, token, asked_at)
            case Lease() as lease if live.access_token.fingerprint() == lease.rejected and not live.reissued:
                # It got a number by another question, and was rejected under that: a second one must not bring it back.
                await self._give_up(lease, live)
                if entry.holds(live.generation):
                    self._cache.evict(entry, live.generation)
            case Lease() as lease:
                token = live.adopted(lease.generation, lease.unix_minus_monotonic, reissued=live.reissued)
                answer = await self._store.restore(token)
                if answer is Refusal.OLD_CREDENTIALS:
                    entry.confirm(live.generation, asked_at)  # as in _give: it is served as it is
                elif not isinstance(answer, Refusal):
                    self._cache.put(entry, answer, asked_at)
                    self._sink(events.Adopted(entry.key_hash, answer.generation, live.generation))
            case Wait() | Backoff():
                pass  # another replica is minting: its token, or the next round, settles this

    async def _give_up(self, lease: Lease, live: Token) -> None:
        """End the lease at once: the store refuses what is over, and ends its lease. No back-off changes."""
        token = live.adopted(lease.generation, lease.unix_minus_monotonic, reissued=live.reissued)
        await self._store.restore(replace(token, expires_at=self._clock.monotonic()))

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
            entry.is_gone = held is not None and held.lifetime > TOO_SHORT
            return Refusal.DEAD
        return await self._give(entry, held)

    async def _give(self, entry: Entry, held: Token) -> Token | Refusal:
        asked_at = self._clock.monotonic()
        answer = await self._store.restore(held)
        if answer is Refusal.REJECTED:
            self._cache.evict(entry, held.generation)
        elif answer is Refusal.DEAD:
            entry.is_gone = entry.holds(held.generation)
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


def _chunks(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    return [entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE)]
