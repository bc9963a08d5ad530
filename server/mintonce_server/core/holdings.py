"""The tokens that this process holds: memory with one way in and one way out."""

from collections.abc import Callable, Iterable
from typing import Final

from mintonce_server.core.client import Clients
from mintonce_server.core.errors import LimitExceeded, StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.memory import NEVER, Entry, Memory
from mintonce_server.core.ports import Clock, TokenStore
from mintonce_server.core.slots import Slots
from mintonce_server.core.token import Token

IDLE: Final = 60.0
"""An entry that has held no token for this many seconds is looked at, and let go."""

Schedule = Callable[[TokenKey, float], None]
Unschedule = Callable[[TokenKey], None]


def _never(_: TokenKey) -> bool:
    """Until the flights are known."""
    return False


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
        unschedule: Unschedule | None = None,
    ) -> None:
        self.memory = Memory()
        self.clients = clients
        self.confirm_within = confirm_within
        self._key_hash = store.key_hash
        self._clock = clock
        self._schedule = schedule
        self._unschedule = unschedule
        self._slots = Slots(max_keys_per_client)
        self.is_in_flight: Callable[[TokenKey], bool] = _never
        """Whether a key is being fetched or minted: its entry then keeps its place."""
        self._store_failed_at = NEVER

    def entry(self, key: TokenKey, caller: str = "") -> Entry:
        """The key's entry. Raises UnknownClient, PermissionDenied or LimitExceeded before anything is made.

        Args:
            caller: whose place among the client's keys a new entry takes; see core/slots.py.
        """
        self.clients.for_key(key)
        if entry := self.memory.get(key):
            return entry
        now = self._clock.monotonic()
        if self._slots.is_full(key.client):
            self._make_room(key.client, caller, now)
        self._schedule(key, now + IDLE)
        return self._slots.add(self.memory.add(Entry(key, self._key_hash(key), now)), caller)

    def drop(self, entry: Entry) -> None:
        """Let the entry go. A token that the store has stays there."""
        self.memory.drop(entry)
        self._slots.remove(entry)
        if self._unschedule is not None:
            self._unschedule(entry.key)

    def keep(self, entry: Entry, token: Token, confirmed_at: float) -> None:
        """Hold the token, if it is newer, and see to its successor in time. `confirmed_at`: see Entry."""
        if token.credential_version < self.clients.for_key(entry.key).credential_version:
            return  # of credentials that were replaced
        entry, now = self.memory.get(entry.key) or entry, self._clock.monotonic()  # it may have been replaced meanwhile
        held = entry.live(now)
        if held and confirmed_at == NEVER and token.expires_at <= held.expires_at:
            return  # not in the store, and of no use to those who come later
        if entry.offer(token, confirmed_at, now):
            self._schedule(entry.key, token.refresh_at)

    def forget(self, entry: Entry, generation: int) -> None:
        """The store rejected it. Watches are owed a successor at once; plain callers bring theirs by asking."""
        entry, now = self.memory.get(entry.key) or entry, self._clock.monotonic()  # as above
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

    def _make_room(self, client: str, caller: str, now: float) -> None:
        entry = self._slots.replaceable(
            client, caller, lambda entry: self._is_idle(entry, now), lambda entry: self._may_go(entry, now)
        )
        if entry is None:
            raise LimitExceeded(
                f"client '{client}' has too many keys in use: each audience and each set of scopes is one",
                remedy="Ask for fewer different scopes, or raise max_keys_per_client in the server's configuration.",
                retry_after=IDLE,
            )
        self.drop(entry)

    def _is_idle(self, entry: Entry, now: float) -> bool:
        """Whether nothing is lost, for any caller, when the entry goes."""
        kept_warm = entry.ever_held and self.clients.for_key(entry.key).keep_warm
        return now - entry.asked_at >= IDLE and not kept_warm and self._may_go(entry, now)

    def _may_go(self, entry: Entry, now: float) -> bool:
        """Whether its next caller finds in the store all that the entry holds."""
        if entry.watchers or self.is_in_flight(entry.key):
            return False
        if entry.live(now) is None:
            return True
        return entry.confirmed_at != NEVER and not self.is_store_away(entry, now)
