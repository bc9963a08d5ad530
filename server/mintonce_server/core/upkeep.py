"""Keeps what this process holds true and fresh: hears the fleet, asks the store, mints successors in time."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from mintonce_server.core import events
from mintonce_server.core.bell import Bell
from mintonce_server.core.errors import MintonceError, StoreUnavailable
from mintonce_server.core.filling import Filling
from mintonce_server.core.holdings import IDLE, Holdings
from mintonce_server.core.key import TokenKey
from mintonce_server.core.memory import Entry
from mintonce_server.core.ports import Clock, TokenStore, Wake, WakeKind
from mintonce_server.core.refresher import Refresher
from mintonce_server.core.revalidation import Revalidation

RETRY_REFRESH: Final = 5.0
"""Seconds until a refresh is tried again when the trouble does not say."""
AT_ONCE: Final = 200
"""Keys that the store is asked about in one round trip: callers wait meanwhile, and its deadline is short."""


class Upkeep:
    """Three endless tasks, `follow`, `revalidate` and the refresher's `run`; whoever builds it runs them."""

    def __init__(
        self,
        store: TokenStore,
        holdings: Holdings,
        filling: Filling,
        revalidation: Revalidation,
        bell: Bell,
        clock: Clock,
        sink: events.EventSink,
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._filling = filling
        self._revalidation = revalidation
        self._bell = bell
        self._clock = clock
        self._sink = sink
        self._announced: set[TokenKey] = set()
        self._suspected: set[TokenKey] = set()
        self._something_to_ask = asyncio.Event()

    async def follow(self) -> None:
        """Hear what happens in the fleet."""
        async for wake in self._store.wakes():
            self.notice(wake)

    def notice(self, wake: Wake) -> None:
        """Act on a hint."""
        if wake.kind is WakeKind.GAP:
            self._bell.ring_all()
            self.suspect_all()
            return
        self._bell.ring(wake.key_hash)
        entry = self._holdings.memory.named(wake.key_hash)
        if entry is None:
            return
        held = entry.live(self._clock.monotonic())
        known = max(held.generation if held else 0, entry.barred)
        if wake.kind is WakeKind.COMMIT and wake.generation > known:
            if entry.key not in self._filling.flights:
                self._announced.add(entry.key)
                self._something_to_ask.set()
        elif wake.kind is WakeKind.REJECT:
            if held and held.generation > wake.generation != held.served_as:
                return  # of an older token; whoever replays such messages causes no questions
            entry.doubt()
            self._suspect([entry])
        elif wake.generation <= entry.barred or (held and held.provisional):
            self._suspect([entry])

    def suspect_all(self) -> None:
        """Have the store asked about all that is held."""
        self._suspect(self._holdings.memory)

    async def revalidate(self) -> None:
        """Ask the store about suspect entries at once, and in time about all whose tokens are being served."""
        # Twice as often as serving demands: then no caller has to wait for it.
        every = self._holdings.confirm_within / 2
        due = self._clock.monotonic() + every
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._clock.monotonic())):
                    await self._something_to_ask.wait()
            # Looked at whether or not there was news: where there always is some, no timeout ever comes.
            if (now := self._clock.monotonic()) >= due:
                due = now + every
                self._suspect(entry for entry in self._holdings.memory if _is_served(entry))
            self._something_to_ask.clear()
            await self._ask()

    async def refresh(self, key: TokenKey, refresher: Refresher) -> None:
        """A key is due: mint its successor if it is wanted; let it go when it is over."""
        entry = self._holdings.memory.get(key)
        if entry is None:
            return
        began = self._clock.monotonic()
        token = entry.live(began)
        if token is not None and began < token.refresh_at:
            # Scheduled for an older one, or to make good for trouble that is over: minting now would waste a token.
            refresher.schedule(key, token.refresh_at)
            return
        if not self._is_wanted(entry):
            self._retire(entry, refresher)
            return
        try:
            # A successor of a token that has ended may have a lower number, where clocks differ: any live one will do.
            newer_than = token.generation if token is not None else entry.barred
            obtained = await self._filling.fill(entry, 0.0, newer_than, events.Cause.REFRESH)
            trouble = obtained.trouble
        except MintonceError as error:
            trouble = error
        if trouble is not None:
            refresher.schedule(key, began + (trouble.retry_after or RETRY_REFRESH))

    def _is_wanted(self, entry: Entry) -> bool:
        """Watched, to be kept warm, or asked for again since its token came: what is asked for once costs one POST."""
        if entry.watchers:
            return True
        # Warm is only what once had a token: a key that a caller made up would be tried for ever.
        if entry.ever_held and self._holdings.clients.for_key(entry.key).keep_warm:
            return True
        return entry.asked_again and entry.live(self._clock.monotonic()) is not None

    def _retire(self, entry: Entry, refresher: Refresher) -> None:
        """Nobody wants the key: hold its token while it lives, then let the entry go."""
        now = self._clock.monotonic()
        if token := entry.live(now):
            refresher.schedule(entry.key, token.expires_at)
        elif entry.key in self._filling.flights or now - entry.asked_at < IDLE:
            refresher.schedule(entry.key, now + IDLE)  # what is under way for a dropped entry would be lost
        else:
            self._holdings.drop(entry)

    def _suspect(self, entries: Iterable[Entry]) -> None:
        self._suspected.update(entry.key for entry in entries)
        self._something_to_ask.set()

    async def _ask(self) -> None:
        announced, self._announced = self._take(self._announced), set()
        suspected, self._suspected = self._take(self._suspected), set()
        chunks = [(self._revalidation.load, some) for some in _chunks(announced)]
        chunks += [(self._revalidation.confirm, some) for some in _chunks(suspected)]
        for done, (ask, some) in enumerate(chunks):
            asked_at = self._clock.monotonic()
            try:
                await ask(some)
            except StoreUnavailable as error:
                self._holdings.store_failed(some, asked_at, error)
                self._sink(events.StoreFailed("", str(error), minting=False))
                # What an outage leaves undone waits for the next time. Another part of the store may well answer now.
                undone = [some] if error.partial else [entries for _, entries in chunks[done:]]
                self._suspected.update(entry.key for entries in undone for entry in entries)
                if not error.partial:
                    return

    def _take(self, keys: Iterable[TokenKey]) -> list[Entry]:
        """Their entries; those that callers asked for last come first."""
        entries = [entry for key in keys if (entry := self._holdings.memory.get(key))]
        return sorted(entries, key=lambda entry: entry.asked_at, reverse=True)


def _chunks(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    return [entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE)]


def _is_served(entry: Entry) -> bool:
    """Others cost nothing until somebody asks, and then their age is looked at. What the store lacks counts, too."""
    return entry.token is not None and (entry.watchers > 0 or entry.asked_at >= entry.confirmed_at)
