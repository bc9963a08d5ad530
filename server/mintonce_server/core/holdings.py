"""The tokens that this process holds, and the flights that bring them."""

from collections.abc import Callable
from typing import Final

from mintonce_server.core.alone import Alone
from mintonce_server.core.client import Clients
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.flights import Flights
from mintonce_server.core.key import TokenKey
from mintonce_server.core.memory import Entry, Memory
from mintonce_server.core.minting import Minting, Obtained
from mintonce_server.core.ports import Clock, TokenStore
from mintonce_server.core.token import Token

IDLE: Final = 60.0
"""An entry that has held no token for this many seconds is looked at, and let go."""

Schedule = Callable[[TokenKey, float], None]


class Holdings:
    """Memory with one way in: every token comes by `keep`, every flight by `fill`."""

    def __init__(
        self, store: TokenStore, clients: Clients, clock: Clock, minting: Minting, alone: Alone, schedule: Schedule
    ) -> None:
        self.memory = Memory()
        self.flights: Flights[Obtained] = Flights()
        self.clients = clients
        self._store = store
        self._clock = clock
        self._minting = minting
        self._alone = alone
        self._schedule = schedule

    def entry(self, key: TokenKey) -> Entry:
        """The key's entry. Raises UnknownClient or PermissionDenied before anything is made."""
        self.clients.for_key(key)
        if entry := self.memory.get(key):
            return entry
        now = self._clock.monotonic()
        self._schedule(key, now + IDLE)
        return self.memory.add(Entry(key, self._store.key_hash(key), now))

    async def fill(self, entry: Entry, min_remaining: float = 0.0, newer_than: int = 0) -> Obtained:
        """A token with that much left and of a higher generation; or what is live all the same, with the trouble.

        Raises IssuerError, StoreUnavailable or WaitTimedOut. Joining somebody's flight may bring too little: fly again.
        """
        while True:
            obtained, mine = await self.flights.join(entry.key, lambda: self._fly(entry, min_remaining, newer_than))
            token = obtained.token
            if token.generation <= entry.barred:
                continue  # rejected while it was under way
            if mine or obtained.trouble is not None:
                return obtained
            if token.generation > newer_than and token.is_comfortable(self._clock.monotonic(), min_remaining):
                return obtained

    def keep(self, entry: Entry, token: Token) -> None:
        """Hold the token, if it is newer, and see to its successor in time."""
        if entry.offer(token):
            self._schedule(entry.key, token.refresh_at)

    def forget(self, entry: Entry, generation: int) -> None:
        """The generation was rejected."""
        if entry.bar(generation):
            self._see_to_empty(entry)

    def lose(self, entry: Entry) -> None:
        """The store no longer has the key's token: it was rejected or lost while nobody could tell us."""
        entry.token = None
        self._see_to_empty(entry)

    def _see_to_empty(self, entry: Entry) -> None:
        """Watches are owed a successor at once; plain callers bring theirs by asking."""
        self._schedule(entry.key, self._clock.monotonic() + (0.0 if entry.watchers else IDLE))

    async def _fly(self, entry: Entry, min_remaining: float, newer_than: int) -> Obtained:
        client = self.clients.for_key(entry.key)
        try:
            # Barred here is barred, even if the store lost the rejection in a failover.
            obtained = await self._minting.obtain(client, entry.key, max(newer_than, entry.barred), min_remaining)
        except StoreUnavailable as outage:
            if entry.live(self._clock.monotonic()):
                raise
            obtained = await self._alone.mint(client, entry, outage)
        if obtained.trouble is not None and obtained.token.generation <= entry.barred:
            raise obtained.trouble
        self.keep(entry, obtained.token)
        return obtained
