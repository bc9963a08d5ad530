"""The tokens that this process holds: memory with one way in and one way out."""

from collections.abc import Callable, Iterable
from typing import Final

from mintonce_server.core.client import Clients
from mintonce_server.core.errors import LimitExceeded, StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.memory import NEVER, Entry, Memory
from mintonce_server.core.ports import Clock, TokenStore
from mintonce_server.core.token import Token

IDLE: Final = 60.0
"""An entry that has held no token for this many seconds is looked at, and let go."""

Schedule = Callable[[TokenKey, float], None]


class Holdings:
    """Every token comes by `keep` and goes by `forget`.

    A token is served from memory only if the store was asked about it less than `confirm_within` seconds ago, or could
    not be: that bounds how long a replica that heard of nothing, or was stopped for a while, serves a rejected token.
    """

    def __init__(
        self,
        store: TokenStore,
        clients: Clients,
        clock: Clock,
        schedule: Schedule,
        confirm_within: float,
        max_keys_per_client: int = 1_000_000,
    ) -> None:
        self.memory = Memory()
        self.clients = clients
        self.confirm_within = confirm_within
        self._key_hash = store.key_hash
        self._clock = clock
        self._schedule = schedule
        self._max_keys_per_client = max_keys_per_client
        self._store_failed_at = NEVER

    def entry(self, key: TokenKey) -> Entry:
        """The key's entry. Raises UnknownClient, PermissionDenied or LimitExceeded before anything is made."""
        self.clients.for_key(key)
        if entry := self.memory.get(key):
            return entry
        if self.memory.count_of[key.client] >= self._max_keys_per_client:
            raise LimitExceeded(
                f"client '{key.client}' has too many keys: each audience and each set of scopes is one",
                remedy="Ask for fewer different scopes, or raise max_keys_per_client in the server's configuration.",
                retry_after=IDLE,
            )
        now = self._clock.monotonic()
        self._schedule(key, now + IDLE)
        return self.memory.add(Entry(key, self._key_hash(key), now))

    def keep(self, entry: Entry, token: Token, confirmed_at: float) -> None:
        """Hold the token, if it is newer, and see to its successor in time. `confirmed_at`: see Entry."""
        if token.credential_version < self.clients.for_key(entry.key).credential_version:
            return  # of credentials that were replaced
        if entry.offer(token, confirmed_at, self._clock.monotonic()):
            self._schedule(entry.key, token.refresh_at)

    def forget(self, entry: Entry, generation: int) -> None:
        """The store rejected it. Watches are owed a successor at once; plain callers bring theirs by asking."""
        now = self._clock.monotonic()
        if entry.bar(generation, now):
            self._schedule(entry.key, now + (0.0 if entry.watchers else IDLE))

    def is_confirmed(self, entry: Entry, now: float) -> bool:
        """Whether the store said lately that the entry's token is current."""
        return now - entry.confirmed_at <= self.confirm_within

    def store_failed(self, entries: Iterable[Entry], asked_at: float, error: StoreUnavailable) -> None:
        """The store, asked about these at this time, did not answer.

        The time of the question counts: after this process was stopped, a deadline gone by proves nothing.
        """
        for entry in entries:
            entry.store_failed_at = max(entry.store_failed_at, asked_at)
        if not error.partial:
            self._store_failed_at = max(self._store_failed_at, asked_at)

    def store_answered(self) -> None:
        """Some part of the store is there: what others lack is each key's own trouble."""
        self._store_failed_at = NEVER

    def is_store_away(self, entry: Entry, now: float) -> bool:
        """Whether the last try to ask about the key was in vain, and lately."""
        return now - max(self._store_failed_at, entry.store_failed_at) <= self.confirm_within
