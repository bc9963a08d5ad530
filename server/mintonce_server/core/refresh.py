"""Mints the successor of each token in time, and removes keys that are not used any more."""

from contextlib import AbstractContextManager, nullcontext
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.budget import WARM_AGAIN, WasteRefused, last_refresh_at
from mintonce_server.core.cache import IDLE, Cache, Entry
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.fetch import Fetcher
from mintonce_server.core.key import TokenKey
from mintonce_server.core.mint import Obtained
from mintonce_server.core.schedule import Schedule
from mintonce_server.core.single_flight import SingleFlight
from mintonce_server.core.token import Token
from mintonce_server.core.tracing import Tracer

RETRY_REFRESH: Final = 5.0
"""Seconds until a failed refresh is tried again, unless the error says when."""


class Refresher:
    """Handles each key when the schedule says so."""

    def __init__(
        self,
        schedule: Schedule,
        cache: Cache,
        fetcher: Fetcher,
        flights: SingleFlight[Obtained],
        clock: Clock,
        sink: events.EventSink,
        waste_refused: WasteRefused,
        tracer: Tracer | None = None,
    ) -> None:
        self._schedule = schedule
        self._cache = cache
        self._fetcher = fetcher
        self._flights = flights
        self._clock = clock
        self._sink = sink
        self._waste_refused = waste_refused
        self._tracer = tracer

    async def run(self) -> None:
        """For ever."""
        await self._schedule.run(self.refresh, self._failed)

    async def refresh(self, key: TokenKey) -> None:
        """A key is due: mint its successor if it is wanted; remove the key when its token is over."""
        entry = self._cache.get(key)
        if entry is None:
            return
        began = self._clock.monotonic()
        token = entry.live(began)
        if token is not None and began < token.refresh_at:
            # Scheduled for an older token, or after an error that is over: minting now would waste a token.
            self._schedule.at(key, token.refresh_at)
            return
        if not self._is_wanted(entry):
            self._retire(entry)
            return
        if (put_off_to := self._put_off(entry, began)) is not None:
            self._schedule.at(key, put_off_to)
            return
        if token is not None:
            self._sink(events.Refreshing(entry.key_hash, key.client, began - token.refresh_at))
        try:
            # A successor of a token that has ended may have a lower number, where clocks differ: any live one will do.
            newer_than = token.generation if token is not None else entry.rejected_through
            with self._span(entry, token, began):
                obtained = await self._fetcher.fetch(entry, 0.0, newer_than, events.Cause.REFRESH)
            trouble = obtained.trouble
            if token is not None and obtained.token.generation > token.generation:
                lead = token.remaining(self._clock.monotonic())
                self._sink(events.Refreshed(entry.key_hash, key.client, lead))
        except MintonceError as error:
            trouble = error
        if trouble is not None:
            self._schedule.at(key, began + (trouble.retry_after or RETRY_REFRESH))

    def _span(self, entry: Entry, token: Token | None, began: float) -> AbstractContextManager[object]:
        if self._tracer is None:
            return nullcontext()
        return self._tracer.refresh(entry.key_hash, entry.key.client, began - token.refresh_at if token else 0.0)

    def retry(self) -> None:
        """Try at once where a watch waits for a token. Plain callers try by asking."""
        now = self._clock.monotonic()
        for entry in self._cache:
            token = entry.live(now)
            if entry.watchers and (token is None or now >= token.refresh_at):
                self._schedule.at(entry.key, now)

    def _is_wanted(self, entry: Entry) -> bool:
        """Watched, kept warm, or asked for again since its token came: a key that is asked for once costs one POST."""
        # Warm is only what once had a token: a key that a caller made up would be tried for ever.
        return self._is_asked_for(entry) or (entry.ever_held and entry.client.keep_warm)

    def _is_asked_for(self, entry: Entry) -> bool:
        """Watched, or asked for since its token came."""
        return bool(entry.watchers) or (entry.asked_again and entry.live(self._clock.monotonic()) is not None)

    def _put_off(self, entry: Entry, now: float) -> float | None:
        """When to look at the key again, if its budget is used up and no caller needs the mint yet. None: mint."""
        seconds = self._waste_refused(entry.client.name)
        if seconds is None:
            return None
        if not self._is_asked_for(entry):  # it is only kept warm
            return now + min(max(seconds, 1.0), WARM_AGAIN)
        token = entry.live(now)
        latest = now if token is None else last_refresh_at(token.expires_at, token.lifetime)
        return latest if latest > now else None

    def _retire(self, entry: Entry) -> None:
        """The key is not wanted: hold its token while it lives, then remove the entry."""
        now = self._clock.monotonic()
        if token := entry.live(now):
            self._schedule.at(entry.key, token.expires_at)
        elif entry.key in self._flights or now - entry.asked_at < IDLE:
            self._schedule.at(entry.key, now + IDLE)  # what is being fetched for a removed entry would be lost
        else:
            self._cache.remove(entry)

    def _failed(self, key: TokenKey, error: Exception) -> None:
        entry = self._cache.get(key)
        self._sink(events.Unforeseen(entry.key_hash if entry else "", "refresh", error))
