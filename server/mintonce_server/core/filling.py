"""Brings a token into memory: one flight a key, whoever asks."""

import asyncio
from dataclasses import replace
from typing import Final

from mintonce_server.core.alone import Alone
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.events import Cause
from mintonce_server.core.flights import Flights
from mintonce_server.core.holdings import Holdings
from mintonce_server.core.memory import NEVER, Entry
from mintonce_server.core.minting import Minting, Obtained, ends_soon
from mintonce_server.core.ports import Clock
from mintonce_server.core.revalidation import Revalidation
from mintonce_server.core.token import Origin
from mintonce_server.core.turns import Patience

ASKED_AT_MOST: Final = 3
"""Times that a flight asks the store again for one reason, so that no flood of hints holds it up."""


class Filling:
    """What a caller, a watch and the refresher have in common: they want a token that memory does not have."""

    def __init__(
        self, holdings: Holdings, revalidation: Revalidation, minting: Minting, alone: Alone, clock: Clock
    ) -> None:
        self.flights: Flights[Obtained] = Flights()
        self._holdings = holdings
        holdings.is_in_flight = self.flights.__contains__
        self._revalidation = revalidation
        self._minting = minting
        self._alone = alone
        self._clock = clock

    async def fill(
        self, entry: Entry, min_remaining: float = 0.0, newer_than: int = 0, cause: Cause | None = None
    ) -> Obtained:
        """A token with that much left and of a higher generation; or what is live all the same, with the trouble.

        Raises IssuerError, StoreUnavailable or WaitTimedOut. Joining somebody's flight may bring too little: fly again.
        """
        while True:
            obtained, mine = await self.flights.join(
                entry.key, lambda: self._fly(entry, min_remaining, newer_than, cause)
            )
            token, now = obtained.token, self._clock.monotonic()
            if token.generation <= entry.barred or not token.is_live(now):
                # Rejected, or over, while it was under way.
                if mine and obtained.trouble is not None:
                    raise obtained.trouble
                continue
            if obtained.confirmed_at != NEVER and now - obtained.confirmed_at > self._holdings.confirm_within:
                continue  # this process was stopped in between, and the token may have been rejected
            # An outage that began before this question says nothing of the store as it is now.
            is_old = isinstance(obtained.trouble, StoreUnavailable) and token.generation <= newer_than
            if mine or (obtained.trouble is not None and not is_old):
                return obtained
            if token.generation > newer_than and token.is_comfortable(now, min_remaining):
                return obtained

    async def _fly(self, entry: Entry, min_remaining: float, newer_than: int, cause: Cause | None) -> Obtained:
        obtained = await self._bring(entry, min_remaining, newer_than, cause)
        for _ in range(ASKED_AT_MOST):
            trouble = obtained.trouble
            if trouble is None:
                break
            # Rejected while it was under way, or begun before that: what troubled its mint may be over since.
            if obtained.token.generation > entry.barred:
                if not ends_soon(trouble) or obtained.token.is_live(self._clock.monotonic()):
                    break
                # The token is the cause of the trouble. It is over here, soon by the store's clock too: then it ends.
                await asyncio.sleep(trouble.retry_after or 0.0)
            obtained = await self._bring(entry, min_remaining, newer_than, cause)
        if obtained.trouble is not None and obtained.token.generation <= entry.barred:
            raise obtained.trouble
        self._holdings.keep(entry, obtained.token, obtained.confirmed_at)
        return obtained

    async def _bring(self, entry: Entry, min_remaining: float, newer_than: int, cause: Cause | None) -> Obtained:
        client, patience = self._holdings.clients.for_key(entry.key), Patience()
        obtained = None
        while obtained is None:
            asked_at = self._clock.monotonic()
            try:
                obtained = await self._from_store(client, entry, min_remaining, newer_than, cause or _cause(entry))
            except StoreUnavailable as outage:
                self._holdings.store_failed([entry], asked_at, outage)
                if entry.live(self._clock.monotonic()):
                    raise
                obtained = await self._alone.mint(client, entry, outage, patience)
        if entry.token is not None and entry.holds(obtained.token.generation):
            # Its end is known here, though the store's clock may have been set back since.
            return replace(obtained, token=entry.token)
        return obtained

    async def _from_store(
        self, client: OAuthClient, entry: Entry, min_remaining: float, newer_than: int, cause: Cause
    ) -> Obtained:
        doubts = entry.doubts
        obtained = await self._ask(client, entry, min_remaining, newer_than, cause)
        for _ in range(ASKED_AT_MOST - 1):
            if entry.doubts == doubts or obtained.origin is Origin.MINT:
                break
            # A hint of a rejection came, perhaps after the store had answered.
            doubts = entry.doubts
            obtained = await self._ask(client, entry, min_remaining, newer_than, cause)
        return obtained

    async def _ask(
        self, client: OAuthClient, entry: Entry, min_remaining: float, newer_than: int, cause: Cause
    ) -> Obtained:
        now = self._clock.monotonic()
        held = entry.live(now)
        if (held and not self._holdings.is_confirmed(entry, now)) or (held is None and entry.barred):
            # What is held may only need to be confirmed, or given back to a store that was emptied: no mint then. Nor
            # where such a store has a successor of what was rejected, under a number that is too low.
            await self._revalidation.confirm([entry])
            token = None if entry.is_gone else entry.live(now)
            if token and token.generation > newer_than and token.is_comfortable(now, min_remaining):
                return Obtained(token, Origin.MEMORY, entry.confirmed_at)
        # Barred here is barred, and over is over, even if the store lost the rejection or its clock was set back.
        newer_than = max(newer_than, entry.barred, entry.over(now))
        return await self._minting.obtain(
            client, entry.key, newer_than, min_remaining, cause, entry.rejected_by, entry.wanted_by
        )


def _cause(entry: Entry) -> Cause:
    """Why this key needs a mint, as far as this replica knows."""
    if entry.token is not None:
        return Cause.EXPIRING
    return Cause.REJECTED if entry.barred else Cause.ABSENT
