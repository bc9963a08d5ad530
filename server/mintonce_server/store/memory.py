"""The store of a single process: the same contract without Redis. For tests, and for trying Mintonce out."""

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import (
    Acquired,
    Backoff,
    Clock,
    Failure,
    Hit,
    Lease,
    Refusal,
    Rejection,
    Wait,
    Wake,
    WakeKind,
    Wish,
)
from mintonce_server.core.token import MAX_LIFETIME, Minted, Token

FORGET_AFTER: Final = MAX_LIFETIME + 86_400.0
QUEUED_MAX: Final = 1000


@dataclass(slots=True)
class Entry:
    """What is known of a key: the record, lease and meta of protocol.md. Times are on the clock's monotonic."""

    touched_at: float
    token: Token | None = None
    lease: Lease | None = None
    last: int = 0
    bar: int = 0
    cv: int = 0
    failures: int = 0
    failure: Failure | None = None
    backoff_until: float = 0.0
    backoff_cv: int = 0
    rejected: int = 0
    rejected_print: str = ""
    rejected_at: float = field(default=-math.inf)

    def live(self, now: float) -> Token | None:
        """The record, unless its life is over."""
        return self.token if self.token and self.token.is_live(now) else None

    def held(self, now: float) -> Lease | None:
        """The lease, unless it has lapsed."""
        return self.lease if self.lease and now < self.lease.expires_at else None

    def holds(self, lease: Lease, now: float) -> bool:
        """Whether this very lease is still the one."""
        held = self.held(now)
        return held is not None and (held.nonce, held.generation) == (lease.nonce, lease.generation)


class MemoryStore:
    """Implements core.ports.TokenStore. Its numbered cases are those of lua/acquire.lua."""

    def __init__(self, hasher: KeyHasher, clock: Clock, lease_seconds: float = 3.0) -> None:
        self._hash = hasher
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._entries: dict[str, Entry] = {}
        self._listeners: set[asyncio.Queue[Wake]] = set()

    def key_hash(self, key: TokenKey) -> str:
        """The key's name in the store, on the wake channel and in logs."""
        return self._hash(key)

    async def acquire(self, key: TokenKey, wish: Wish) -> Acquired:
        """HIT, WAIT, BACKOFF, or the LEASE."""
        entry, now = self._entry(key), self._clock.monotonic()
        token = entry.live(now)
        if token and token.credential_version < wish.credential_version:
            token = None
        # 1. HIT: a live token, new enough, with enough left.
        if token and token.generation > wish.newer_than and token.is_comfortable(now, wish.min_remaining):
            return Hit(token)
        # 2. The lease is ours: the reply was lost. 3. It is another's.
        if held := entry.held(now):
            return held if held.nonce == wish.nonce else Wait(held.expires_at - now)
        # 4. The issuer said no lately, to these credentials or newer ones.
        if entry.failure and now < entry.backoff_until and entry.backoff_cv >= wish.credential_version:
            return Backoff(entry.failure, entry.backoff_until - now, token)
        # 5. Our turn.
        return self._grant(entry, key, wish, now)

    def _grant(self, entry: Entry, key: TokenKey, wish: Wish, now: float) -> Lease:
        newest = max(entry.last, entry.bar, wish.newer_than, entry.token.generation if entry.token else 0)
        entry.last = max(newest + 1, int(self._clock.unix() * 1000))
        if wish.credential_version > entry.cv:
            entry.cv, entry.failures = wish.credential_version, 0
        ends, cv = now + self._lease_seconds, wish.credential_version
        clocks = self._clock.unix() - now
        entry.lease = Lease(key, wish.nonce, cv, entry.last, ends, clocks, entry.failures, entry.rejected_print)
        return entry.lease

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        """Store what was minted, if its generation is the newest and not rejected. Wakes the fleet, ends the lease."""
        clocks = self._clock.unix() - self._clock.monotonic()
        key_hash, cv = self._hash(lease.key), lease.credential_version
        return self._commit(Token.of(minted, lease.key, key_hash, lease.generation, cv, clocks))

    async def restore(self, token: Token) -> Token | Refusal:
        """Give back a live token that the store lost, or never got. As `commit`, but it ends no back-off."""
        return self._commit(token, restored=True)

    def _commit(self, token: Token, *, restored: bool = False) -> Token | Refusal:
        entry, now = self._entry(token.key), self._clock.monotonic()
        if entry.lease and entry.lease.generation == token.generation:
            entry.lease = None
        current = entry.live(now)
        if current and current.generation == token.generation:
            return current
        if refusal := _refusal(entry, token, now):
            return refusal
        entry.token, entry.cv = token, max(entry.cv, token.credential_version)
        entry.last = max(entry.last, token.generation)
        if not restored:
            # Only a new token says that the issuer is well again.
            entry.failure, entry.failures = None, 0
        self._publish(WakeKind.COMMIT, token.key, token.generation)
        return token

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        """Record that the mint failed, so that nobody tries again for `retry_after` seconds. Ends the lease."""
        entry, now = self._entry(lease.key), self._clock.monotonic()
        if not entry.holds(lease, now):
            return
        entry.lease, entry.failure, entry.failures = None, failure, entry.failures + 1
        entry.backoff_until, entry.backoff_cv = now + retry_after, lease.credential_version
        self._publish(WakeKind.FAIL, lease.key, lease.generation)

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease with its new end, or None if it is no longer ours."""
        entry, now = self._entry(lease.key), self._clock.monotonic()
        if not entry.holds(lease, now):
            return None
        entry.lease = replace(lease, expires_at=now + self._lease_seconds)
        return entry.lease

    async def reject(self, key: TokenKey, generation: int, min_interval: float) -> Rejection:
        """If the generation is current: drop it and bar it and all before it, and wake the fleet."""
        entry, now = self._entry(key), self._clock.monotonic()
        current = entry.live(now)
        if current is None or current.generation != generation:
            return Rejection(was_current=generation == entry.rejected)
        wait = entry.rejected_at + min_interval - now
        if wait > 0:
            return Rejection(was_current=True, retry_after=wait)
        entry.bar = max(entry.last, entry.bar, generation)
        entry.token = entry.lease = None
        entry.rejected, entry.rejected_print, entry.rejected_at = generation, current.access_token.fingerprint(), now
        self._publish(WakeKind.REJECT, key, generation)
        return Rejection(was_current=True)

    async def generations(self, keys: Sequence[TokenKey]) -> list[int]:
        """The generation of each key's current token, 0 for none, in the order of the keys."""
        now = self._clock.monotonic()
        entries = [self._entries.get(self._hash(key)) for key in keys]
        return [token.generation if entry and (token := entry.live(now)) else 0 for entry in entries]

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | None]:
        """The current live tokens, in the order of the keys."""
        now = self._clock.monotonic()
        entries = [self._entries.get(self._hash(key)) for key in keys]
        return [entry.live(now) if entry else None for entry in entries]

    async def wakes(self) -> AsyncGenerator[Wake]:
        """What happens, as it happens, after a GAP."""
        queue: asyncio.Queue[Wake] = asyncio.Queue(QUEUED_MAX)
        queue.put_nowait(_GAP)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    async def ping(self) -> None:
        """It always answers."""

    async def close(self) -> None:
        """There is nothing to give back."""

    async def list(self, client: str, limit: int) -> list[Token]:
        """At most `limit` live tokens, of one client or ("") of all."""
        now = self._clock.monotonic()
        live = (token for entry in self._entries.values() if (token := entry.live(now)))
        return [token for token in live if client in ("", token.key.client)][:limit]

    def _entry(self, key: TokenKey) -> Entry:
        now, key_hash = self._clock.monotonic(), self._hash(key)
        entry = self._entries.get(key_hash)
        if entry is None:
            # Whoever comes new pays for those that are long gone: nothing is kept forever.
            for old in [name for name, known in self._entries.items() if now - known.touched_at > FORGET_AFTER]:
                del self._entries[old]
            entry = self._entries[key_hash] = Entry(touched_at=now)
        entry.touched_at = now
        return entry

    def _publish(self, kind: WakeKind, key: TokenKey, generation: int) -> None:
        for queue in self._listeners:
            if queue.full():
                # Too slow a listener lost messages: that is what a GAP says.
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(_GAP)
            else:
                queue.put_nowait(Wake(kind, self._hash(key), generation))


_GAP: Final = Wake(WakeKind.GAP, "", 0)


def _refusal(entry: Entry, token: Token, now: float) -> Refusal | None:
    if not token.is_live(now):
        return Refusal.DEAD
    if token.credential_version < entry.cv:
        return Refusal.OLD_CREDENTIALS
    if token.generation <= entry.bar:
        return Refusal.REJECTED
    current = entry.live(now)
    return Refusal.STALE if current and token.generation < current.generation else None
