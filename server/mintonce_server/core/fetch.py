"""Brings a token into the cache: one task a key, for callers, watches and the refresh alike."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.cache import NEVER, Cache, Entry
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.events import Cause
from mintonce_server.core.mint import LeasedMinter, Obtained, ends_soon
from mintonce_server.core.outage import OutageMinter
from mintonce_server.core.reconcile import Reconciler
from mintonce_server.core.single_flight import SingleFlight
from mintonce_server.core.token import Origin
from mintonce_server.core.tracing import FlightSpans, Tracer
from mintonce_server.core.turns import WaitBudget

ASKED_AT_MOST: Final = 3
"""Times that one fetch asks the store again for one reason, so that no flood of hints holds it up."""


class Fetcher:
    """Asks the store, and mints with its lease; or mints without it while the store is out of reach."""

    def __init__(
        self,
        cache: Cache,
        reconciler: Reconciler,
        minter: LeasedMinter,
        outage_minter: OutageMinter,
        flights: SingleFlight[Obtained],
        clock: Clock,
        tracer: Tracer | None = None,
    ) -> None:
        self._cache = cache
        self._reconciler = reconciler
        self._minter = minter
        self._outage_minter = outage_minter
        self._flights = flights
        self._clock = clock
        self._spans = FlightSpans(tracer) if tracer is not None else None

    async def fetch(
        self, entry: Entry, min_ttl: float = 0.0, newer_than: int = 0, cause: Cause | None = None
    ) -> Obtained:
        """A token with that much left and of a higher generation; or what is live all the same, with the trouble.

        Raises IssuerError, StoreUnavailable or WaitTimedOut. The task that another call started may bring too little:
        then this one starts another.
        """
        while True:
            if self._spans is not None:
                self._spans.join(entry.key)
            obtained, started_here = await self._flights.run(
                entry.key, lambda: self._flight(entry, min_ttl, newer_than, cause)
            )
            token, now = obtained.token, self._clock.monotonic()
            if token.generation <= entry.rejected_through or not token.is_live(now):
                # It was rejected, or ended, meanwhile.
                if started_here and obtained.trouble is not None:
                    raise obtained.trouble
                continue
            if obtained.confirmed_at != NEVER and now - obtained.confirmed_at > self._cache.confirm_within:
                continue  # this process was stopped in between, and the token may have been rejected
            # An outage that began before this question says nothing about the store as it is now.
            is_old = isinstance(obtained.trouble, StoreUnavailable) and token.generation <= newer_than
            if started_here or (obtained.trouble is not None and not is_old):
                return obtained
            if token.generation > newer_than and token.has_min_ttl(now, min_ttl):
                return obtained

    def _flight(
        self, entry: Entry, min_ttl: float, newer_than: int, cause: Cause | None
    ) -> Coroutine[Any, Any, Obtained]:
        if self._spans is None:
            return self._fetch(entry, min_ttl, newer_than, cause)
        why = cause or _cause(entry)
        return self._spans.start(entry.key, entry.key_hash, why, lambda: self._fetch(entry, min_ttl, newer_than, cause))

    async def _fetch(self, entry: Entry, min_ttl: float, newer_than: int, cause: Cause | None) -> Obtained:
        obtained = await self._obtain(entry, min_ttl, newer_than, cause)
        for _ in range(ASKED_AT_MOST):
            trouble = obtained.trouble
            if trouble is None:
                break
            # If the token was rejected meanwhile, what troubled its mint may be over.
            if obtained.token.generation > entry.rejected_through:
                if not ends_soon(trouble) or obtained.token.is_live(self._clock.monotonic()):
                    break
                # The token is the cause of the trouble. It is over here, soon by the store's clock too: then it ends.
                await asyncio.sleep(trouble.retry_after or 0.0)
            obtained = await self._obtain(entry, min_ttl, newer_than, cause)
        if obtained.trouble is not None and obtained.token.generation <= entry.rejected_through:
            raise obtained.trouble
        self._cache.put(entry, obtained.token, obtained.confirmed_at)
        return obtained

    async def _obtain(self, entry: Entry, min_ttl: float, newer_than: int, cause: Cause | None) -> Obtained:
        obtained, budget = None, WaitBudget()
        while obtained is None:
            asked_at = self._clock.monotonic()
            try:
                obtained = await self._from_store(entry, min_ttl, newer_than, cause)
            except StoreUnavailable as outage:
                self._cache.store_failed([entry], asked_at, outage)
                if entry.live(self._clock.monotonic()):
                    raise
                obtained = await self._outage_minter.mint(entry, outage, budget)
        if entry.token is not None and entry.holds(obtained.token.generation):
            # Its end is known here, though the store's clock may have been set back since.
            return replace(obtained, token=entry.token)
        return obtained

    async def _from_store(self, entry: Entry, min_ttl: float, newer_than: int, cause: Cause | None) -> Obtained:
        doubts = entry.doubts
        obtained = await self._ask(entry, min_ttl, newer_than, cause)
        for _ in range(ASKED_AT_MOST - 1):
            if entry.doubts == doubts or obtained.origin is Origin.MINT:
                break
            # A hint of a rejection came, perhaps after the store had answered.
            doubts = entry.doubts
            obtained = await self._ask(entry, min_ttl, newer_than, cause)
        return obtained

    async def _ask(self, entry: Entry, min_ttl: float, newer_than: int, cause: Cause | None) -> Obtained:
        now = self._clock.monotonic()
        held = entry.live(now)
        if (held and not self._cache.is_confirmed(entry, now)) or (held is None and entry.rejected_through):
            # What is held may only need to be confirmed, or given back to a store that was emptied: no mint then. Nor
            # where such a store has a successor of what was rejected, under a number that is too low.
            await self._reconciler.confirm([entry])
        # It may also have been confirmed since the caller looked.
        token = None if entry.is_gone else entry.live(now)
        if token and token.generation > newer_than and token.has_min_ttl(now, min_ttl):
            return Obtained(token, Origin.MEMORY, entry.confirmed_at)
        # Rejected here is rejected, and over is over, even if the store lost the rejection or its clock was set back.
        newer_than = max(newer_than, entry.rejected_through, entry.over(now))
        # The cause is known only now: the token may have been rejected at another replica.
        return await self._minter.obtain(entry, newer_than, min_ttl, cause or _cause(entry))


def _cause(entry: Entry) -> Cause:
    """Why this key needs a mint, as far as this replica knows."""
    if entry.token is not None:
        return Cause.EXPIRING
    return Cause.REJECTED if entry.rejected_through else Cause.ABSENT
