"""The tokens that this process holds, and how many keys each caller may keep here."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final, TypeVar

from mintonce_server.common.clock import Clock
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import LimitExceeded, StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.limits import Shares
from mintonce_server.core.schedule import Schedule
from mintonce_server.core.token import Token

NEVER: Final = -math.inf
IDLE: Final = 60.0
"""An entry that has held no token for this many seconds is checked, and removed."""
LOOKED_AT: Final = 32
"""Entries that are examined when room is needed: a full table must not make each new key search all of it."""

Test = Callable[["Entry"], bool]
V = TypeVar("V")


class Entry:
    """What this process knows of a key.

    Attributes:
        client: the registered client of the key.
        token: the newest live one seen, unless it was rejected. It stays here when its life is over.
        rejected_through: every generation of the store's up to this one was rejected, or begun before a rejection.
        rejected_through_at: when this process learned that, on the monotonic clock.
        rejected: fingerprint of the token that was rejected last, "" for none.
        rejected_at: when a rejection at this replica was accepted last, on the monotonic clock.
        rejected_by: the caller that made it, "" for none.
        confirmed_at: when the store was asked that last said that `token` is current, on the monotonic clock.
        is_gone: the store was asked last, did not have `token`, and did not take it back: it may have been rejected.
        doubts: how many hints said that `token` may be rejected. An answer of the store from before one does not count.
        store_failed_at: when the key's part of the store last failed to answer; NEVER since it answered.
        ever_held: whether there ever was a token.
        asked_at: when a caller last wanted it, on the monotonic clock.
        asked_again: whether a caller wanted it since `token` came.
        wanted_by: the caller that made this replica look for a token last, "" for none.
        watchers: how many watches follow it.
        changed: set when `token` changes, then replaced by a new event: take it before you look at `token`.
    """

    __slots__ = (
        "asked_again",
        "asked_at",
        "changed",
        "client",
        "confirmed_at",
        "doubts",
        "ever_held",
        "is_gone",
        "key",
        "key_hash",
        "rejected",
        "rejected_at",
        "rejected_by",
        "rejected_through",
        "rejected_through_at",
        "store_failed_at",
        "token",
        "wanted_by",
        "watchers",
    )

    def __init__(self, key: TokenKey, key_hash: str, client: OAuthClient, now: float) -> None:
        self.key = key
        self.key_hash = key_hash
        self.client = client
        self.token: Token | None = None
        self.rejected_through = 0
        self.rejected_through_at = NEVER
        self.rejected = ""
        self.rejected_at = NEVER
        self.rejected_by = ""
        self.confirmed_at = NEVER
        self.is_gone = False
        self.doubts = 0
        self.store_failed_at = NEVER
        self.ever_held = False
        self.asked_at = now
        self.asked_again = False
        self.wanted_by = ""
        self.watchers = 0
        self.changed = asyncio.Event()

    @property
    def newest(self) -> int:
        """The highest generation seen here, rejected ones too; 0 for none."""
        return max(self.token.generation if self.token else 0, self.rejected_through)

    @property
    def is_served(self) -> bool:
        """Whether callers used it since the store was asked last, or a watch follows it."""
        return self.token is not None and (self.watchers > 0 or self.asked_at >= self.confirmed_at)

    def holds(self, generation: int) -> bool:
        """Whether this is the generation of the token here."""
        return self.token is not None and self.token.generation == generation

    def live(self, now: float) -> Token | None:
        """The token, if a resource server would still take it."""
        return self.token if self.token is not None and self.token.is_live(now) else None

    def lasting(self, now: float, least: float) -> Token | None:
        """The same, if it goes on for so many seconds."""
        token = self.live(now)
        return token if token is not None and token.remaining(now) >= least else None

    def over(self, now: float) -> int:
        """The generation of a token of the store's that was here and has ended; 0 for none."""
        held = self.token
        return held.generation if held is not None and not held.provisional and not held.is_live(now) else 0

    def offer(self, token: Token, confirmed_at: float, now: float) -> bool:
        """Take the token if it is live, not rejected, and newer than a live one here; the same one is confirmed."""
        held = self.token
        if held is not None and token.generation == held.generation:
            self.confirm(token.generation, confirmed_at)
            return False
        if token.generation <= self.rejected_through or not token.is_live(now):
            return False
        # A dead token holds no place, whatever its number.
        if held is not None and held.is_live(now) and token.generation < held.generation:
            return False
        self.token = token
        self.asked_again = False
        self.confirmed_at = confirmed_at
        self.is_gone = False
        self.ever_held = True
        self.notify()
        return True

    def confirm(self, generation: int, at: float) -> None:
        """The store, asked at this time, held this generation."""
        if self.token is not None and self.token.generation == generation:
            self.confirmed_at = max(self.confirmed_at, at)
            self.is_gone = self.is_gone and at == NEVER

    def doubt(self) -> None:
        """A hint says that the token may be rejected: the store is asked before it is served again."""
        self.doubts += 1
        self.confirmed_at = NEVER

    def reject_through(self, generation: int, now: float) -> bool:
        """The store rejected this generation: drop it and older ones. Whether there was a token to drop."""
        if generation > self.rejected_through:
            self.rejected_through, self.rejected_through_at = generation, now
        if self.token is None or self.token.generation > generation:
            return False
        self.rejected = self.token.access_token.fingerprint()
        self.token = None
        return True

    def notify(self) -> None:
        """Wake the watches."""
        self.changed.set()
        self.changed = asyncio.Event()


class Cache:
    """Every token comes by `put` and goes by `evict`.

    A token is served from memory only if the store was asked about it less than `confirm_within` seconds ago, or could
    not be asked: that bounds how long a replica that missed a message, or was stopped for a while, serves a rejected
    token.
    """

    def __init__(
        self,
        key_hash: Callable[[TokenKey], str],
        clients: Clients,
        clock: Clock,
        schedule: Schedule,
        in_flight: Container[TokenKey],
        confirm_within: float,
        max_keys_per_client: int,
    ) -> None:
        """`in_flight`: keys that are being fetched or minted; their entries keep their places."""
        self.confirm_within = confirm_within
        self._key_hash = key_hash
        self._clients = clients
        self._clock = clock
        self._schedule = schedule
        self._in_flight = in_flight
        self._places = Places(max_keys_per_client)
        self._store_failed_at = NEVER
        self._by_key: dict[TokenKey, Entry] = {}
        self._by_hash: dict[str, Entry] = {}
        self.get = self._by_key.get
        self.by_hash = self._by_hash.get

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._by_key.values()))

    def entry(self, key: TokenKey, caller: str = "") -> Entry:
        """The key's entry. Raises UnknownClient, PermissionDenied or LimitExceeded before anything is made.

        Args:
            caller: whose place among the client's keys a new entry takes.
        """
        if entry := self.get(key):
            return entry
        client, now = self._clients.for_key(key), self._clock.monotonic()
        if self._places.is_full(key.client):
            self._make_room(key.client, caller, now)
        self._schedule.at(key, now + IDLE)
        entry = self._by_key[key] = Entry(key, self._key_hash(key), client, now)
        self._by_hash[entry.key_hash] = entry
        self._places.add(entry, caller)
        return entry

    def remove(self, entry: Entry) -> None:
        """Drop the entry. A token that the store has stays there."""
        self._by_key.pop(entry.key, None)
        self._by_hash.pop(entry.key_hash, None)
        self._places.remove(entry)
        self._schedule.cancel(entry.key)

    def put(self, entry: Entry, token: Token, confirmed_at: float) -> None:
        """Hold the token, if it is newer, and schedule its refresh. `confirmed_at`: see Entry."""
        if token.credential_version < entry.client.credential_version:
            return  # of credentials that were replaced
        entry, now = self.get(entry.key) or entry, self._clock.monotonic()  # it may have been replaced meanwhile
        held = entry.live(now)
        if held and confirmed_at == NEVER and token.expires_at <= held.expires_at:
            return  # not in the store, and of no use to later callers
        if entry.offer(token, confirmed_at, now):
            self._schedule.at(entry.key, token.refresh_at)

    def evict(self, entry: Entry, generation: int) -> None:
        """The store rejected it. Watches need a successor at once; plain callers fetch theirs by asking."""
        entry, now = self.get(entry.key) or entry, self._clock.monotonic()  # as above
        if entry.reject_through(generation, now):
            self._schedule.at(entry.key, now + (0.0 if entry.watchers else IDLE))

    def is_confirmed(self, entry: Entry, now: float) -> bool:
        """Whether the store said lately that the entry's token is current."""
        return now - entry.confirmed_at <= self.confirm_within

    def store_failed(self, entries: Iterable[Entry], asked_at: float, error: StoreUnavailable) -> None:
        """The store, asked about these at this time, did not answer.

        The time of the question counts: after this process was stopped, a passed deadline proves nothing.
        """
        for entry in entries:
            entry.store_failed_at = max(entry.store_failed_at, asked_at)
        if not error.partial:
            self._store_failed_at = max(self._store_failed_at, asked_at)

    def store_answered(self) -> None:
        """Some part of the store is there: a failure of another part concerns that part's keys only."""
        self._store_failed_at = NEVER

    def is_store_away(self, entry: Entry, now: float) -> bool:
        """Whether the last question about the key was not answered, and was asked lately."""
        return now - max(self._store_failed_at, entry.store_failed_at) <= self.confirm_within

    def _make_room(self, client: str, caller: str, now: float) -> None:
        entry = self._places.replaceable(
            client, caller, lambda entry: self._is_idle(entry, now), lambda entry: self._may_go(entry, now)
        )
        if entry is None:
            raise LimitExceeded(
                f"client '{client}' has too many keys in use: each audience and each set of scopes is one",
                remedy="Ask for fewer different scopes, or raise max_keys_per_client in the server's configuration.",
                retry_after=IDLE,
                quota="keys",
            )
        self.remove(entry)

    def _is_idle(self, entry: Entry, now: float) -> bool:
        """Whether no caller loses anything when the entry goes."""
        kept_warm = entry.ever_held and entry.client.keep_warm
        return now - entry.asked_at >= IDLE and not kept_warm and self._may_go(entry, now)

    def _may_go(self, entry: Entry, now: float) -> bool:
        """Whether its next caller finds in the store all that the entry holds."""
        if entry.watchers or entry.key in self._in_flight:
            return False
        if entry.live(now) is None:
            return True
        return entry.confirmed_at != NEVER and not self.is_store_away(entry, now)


class Places:
    """Which caller holds which places, for each client. An entry belongs to the caller that asked for its key first.

    When a client has no free place, a new key takes the place of a key that is not used. If there is none, it takes one
    from the caller that holds most, provided that this caller holds less. So one caller can use all places while
    the others do not need them, and never keeps a smaller one out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._clients: dict[str, Shares[Entry]] = {}

    def is_full(self, client: str) -> bool:
        """Whether a new key of the client needs the place of another one."""
        places = self._clients.get(client)
        return places is not None and len(places.all) >= self._most

    def add(self, entry: Entry, caller: str) -> Entry:
        """Give the entry a place."""
        self._clients.setdefault(entry.key.client, Shares()).add(entry, caller)
        return entry

    def remove(self, entry: Entry) -> None:
        """Free the entry's place, if it has one."""
        if (places := self._clients.get(entry.key.client)) is not None:
            places.remove(entry)
            if not places.all:
                del self._clients[entry.key.client]

    def replaceable(self, client: str, caller: str, is_idle: Test, may_go: Test) -> Entry | None:
        """The entry that a new key of this caller replaces; None if the caller has to wait.

        Args:
            is_idle: whether an entry is unused, so that any caller may have its place.
            may_go: whether an entry in use can be dropped without losing its token.
        """
        places = self._clients[client]
        if entry := _least_recent(places.all, is_idle):
            return entry
        held, largest = places.count(caller), places.largest()
        if held and places.count(largest) <= held + 1:
            return None  # two callers with equal shares must not take turns on one place
        return _least_recent(places.of(largest), may_go)


def _least_recent(entries: OrderedDict[Entry, V], test: Test) -> Entry | None:
    """Of the next few that pass the test, the one that was asked for longest ago. The others go to the end."""
    found: Entry | None = None
    for _ in range(min(LOOKED_AT, len(entries))):
        entry = next(iter(entries))
        entries.move_to_end(entry)
        if test(entry) and (found is None or entry.asked_at < found.asked_at):
            found = entry
    return found
