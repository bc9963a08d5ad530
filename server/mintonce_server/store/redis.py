"""The store of a fleet: a Redis or Valkey that all replicas share."""

import math
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from mintonce_server.common.clock import Clock
from mintonce_server.common.redis_url import Target
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import (
    Acquired,
    AcquireRequest,
    Admitted,
    Backoff,
    Failure,
    Lease,
    Listing,
    Refusal,
    Rejection,
    Wait,
    Wake,
)
from mintonce_server.core.token import MIN_TTL_SHARE, Minted, Token, expiry_margin
from mintonce_server.observability.store_meter import StoreMeter
from mintonce_server.store.keyring import FIXED_KEYRING, Keyring
from mintonce_server.store.link import Link, open_servers
from mintonce_server.store.names import Names
from mintonce_server.store.notifications import Dropped, Notifications, OnError, wakes
from mintonce_server.store.reading import Reader
from mintonce_server.store.record import Row, encode
from mintonce_server.store.scripts import (
    Question,
    Scripts,
    UnexpectedReply,
    failure_text,
    read_acquire,
    read_barrier,
    read_commit,
    read_enter,
    read_flag,
    read_reject,
)
from mintonce_server.store.sealing import OnUnreadable, RecordOpener, Sealer
from mintonce_server.store.usage import RedisUsage

LUA_EXACT: Final = 2**53
"""Numbers in scripts are exact below this. No generation reaches it."""

UNREADABLE_MAX: Final = 3
"""Unreadable records in a row that one `acquire` skips. There is a mint between any two of them."""


@dataclass(slots=True)
class Resealed:
    """Counts of records: resealed now, already sealed with the newest key, and unreadable."""

    resealed: int = 0
    already: int = 0
    unreadable: int = 0


def _ignore(*_: object) -> None:
    """Default callback: ignore."""


class RedisStore:
    """Implements core.ports.TokenStore with the scripts in lua/. Create it with `connect`, and close it after use."""

    def __init__(
        self,
        link: Link,
        *,
        hasher: KeyHasher,
        clock: Clock,
        lease_seconds: float,
        on_error: OnError = _ignore,
        notifications: Notifications,
        sealer: Sealer,
        on_unreadable: OnUnreadable,
    ) -> None:
        self._link = link
        self._scripts = Scripts(link.client, notifications, link.names)
        self.usage = RedisUsage(link, self._scripts, hasher)
        """The fleet's counters."""
        self._sealer = sealer
        self._opening = RecordOpener(sealer, on_unreadable, clock, link.meter)
        self._reader = Reader(link, hasher, clock, self._opening)
        self._hash = hasher
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._on_error = on_error
        self._notifications = notifications
        self._rng = random.Random()  # noqa: S311 - spreads reconnections; no secret

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        prefix: str,
        clock: Clock,
        hasher: KeyHasher | None = None,
        keyring: Callable[[], Keyring] = lambda: FIXED_KEYRING,
        identities: Mapping[str, str] | None = None,
        lease_seconds: float,
        deadline: float,
        meter: StoreMeter | None = None,
        on_error: OnError = _ignore,
        on_dropped: Callable[[int], None] = _ignore,
        on_unreadable: OnUnreadable = _ignore,
    ) -> Self:
        """To a server, to the primary that Sentinels name, or to a Cluster. Connects when first used.

        Args:
            url: see common/redis_url.py. An invalid URL raises ValueError, which does not show the password.
            prefix: of all names in Redis. Stores with different prefixes share nothing.
            deadline: seconds for each operation, including its one repetition.
            hasher: names keys; by default with the keyring's index key.
            keyring: returns the current sealing keys. The default ones are public.
            identities: of the clients, for the default hasher; see KeyHasher.
            meter: counts operations and wake messages.
            on_unreadable: called for records that cannot be opened.
            on_error: called each time the wake subscription breaks. It is renewed automatically.
            on_dropped: called at intervals with the number of dropped wake messages.
        """
        link = Link.from_url(url, deadline=deadline, names=Names(prefix), meter=meter)
        return cls(
            link,
            hasher=hasher or KeyHasher(keyring().index_key, identities),
            clock=clock,
            lease_seconds=lease_seconds,
            on_error=on_error,
            notifications=Notifications(keyring().index_key, Dropped(clock, on_dropped).add, link.meter),
            sealer=Sealer(keyring, clock),
            on_unreadable=on_unreadable,
        )

    def key_hash(self, key: TokenKey) -> str:
        """The key's name in the store, on the wake channel and in logs."""
        return self._hash(key)

    async def acquire(self, key: TokenKey, request: AcquireRequest) -> Acquired:
        """HIT, WAIT, BACKOFF, or the LEASE. If a record cannot be read, only a newer one counts."""
        key_hash, newer_than = self._hash(key), request.newer_than
        for _ in range(UNREADABLE_MAX):
            asked_at = self._clock.monotonic()
            reply = await self._acquire(key_hash, request, newer_than)
            with self._link.reading():
                question = Question(key, key_hash, request, asked_at, self._clock.monotonic())
                answer = read_acquire(reply, question, self._opening)
            if not isinstance(answer, int):
                return answer
            newer_than = max(newer_than, answer)
        with self._link.reading():
            raise UnexpectedReply

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        """Store a minted token, if its generation is the newest and not rejected. Wakes the fleet, ends the lease."""
        return await self._commit(lease.token(minted, self._hash(lease.key)))

    async def restore(self, token: Token) -> Token | Refusal:
        """Store a live token that the store lost or never received. As `commit`, but it ends no back-off."""
        return await self._commit(token, restored=True)

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        """Record that the mint failed, so that no replica retries for `retry_after` seconds. Ends the lease."""
        key_hash = self._hash(lease.key)
        reply = await self._link.run(
            lambda: self._scripts.fail(
                key_hash,
                nonce=lease.nonce,
                generation=lease.generation,
                retry=_ms(retry_after),
                failure=failure_text(failure),
                credential_version=lease.credential_version,
                while_live=failure.while_live,
                own=not failure.of_issuer,
                proof=self._hash.of_proof(lease.proof) if failure.of_proof else "",
            ),
            name="fail",
        )
        with self._link.reading():
            read_flag(reply)

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease with its new expiry, or None if it belongs to another holder now."""
        key_hash, asked_at = self._hash(lease.key), self._clock.monotonic()
        reply = await self._link.run(
            lambda: self._scripts.renew(
                key_hash, nonce=lease.nonce, generation=lease.generation, lease=_ms(self._lease_seconds)
            ),
            name="renew",
        )
        with self._link.reading():
            return replace(lease, expires_at=asked_at + self._lease_seconds) if read_flag(reply) else None

    async def reject(self, key: TokenKey, generation: int, min_interval: float, fingerprint: str = "") -> Rejection:
        """If the generation is current or not committed yet: reject it and all mints begun before. Wakes the fleet."""
        if generation >= LUA_EXACT:
            return Rejection(was_current=False, known=False)
        key_hash = self._hash(key)
        reply = await self._link.run(
            lambda: self._scripts.reject(
                key_hash, generation=generation, min_interval=_ms(min_interval), fingerprint=fingerprint
            ),
            name="reject",
        )
        with self._link.reading():
            return read_reject(reply)

    async def raise_barrier(self, key: TokenKey, generation: int, fingerprint: str, min_interval: float) -> bool:
        """Restore a rejection that the store lost. False: the last rejection is too recent."""
        key_hash, interval = self._hash(key), _ms(min_interval)
        reply = await self._link.run(
            lambda: self._scripts.barrier(
                key_hash, generation=generation, fingerprint=fingerprint, min_interval=interval
            ),
            name="barrier",
        )
        with self._link.reading():
            return read_barrier(reply)

    async def enter(self, issuer: str, nonce: str) -> Admitted | Wait | Backoff:
        """Whether a POST to the issuer may begin."""
        issuer_hash = self._hash.of_issuer(issuer)
        reply = await self._link.run(lambda: self._scripts.enter(issuer_hash, nonce=nonce), name="enter")
        with self._link.reading():
            return read_enter(reply, nonce)

    async def learn(self, issuer: str, admitted: Admitted, failure: Failure | None, pause: float) -> bool:
        """Record the outcome of a POST. True: the issuer is the cause, and all of its keys wait for `pause` seconds."""
        issuer_hash, what = self._hash.of_issuer(issuer), failure_text(failure) if failure else ""
        reply = await self._link.run(
            lambda: self._scripts.learn(
                issuer_hash, nonce=admitted.nonce, began=admitted.began, failure=what, pause=_ms(pause)
            ),
            name="learn",
        )
        with self._link.reading():
            return read_flag(reply)

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        """The generation of each key's current token, 0 for none, in the order of the keys, in one round trip."""
        return await self._reader.generations(keys)

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        """The current live tokens, in the order of the keys, in one round trip."""
        return await self._reader.load(keys)

    def wakes(self) -> AsyncGenerator[Wake]:
        """The fleet's messages as they arrive. Reconnects automatically; each new connection begins with a GAP."""
        return wakes(self._link, self._notifications.decode, self._on_error, self._rng)

    async def ping(self) -> None:
        """Check that the store answers. Raises StoreUnavailable."""
        await self._reader.ping()

    async def exchange(self, target: Target) -> None:
        """Change to connections with these credentials; see Link.exchange."""
        await self._link.exchange(open_servers(target, self._link.deadline))

    async def diagnose(self, error: StoreUnavailable) -> StoreUnavailable:
        """The same failure after a diagnosis, if that is more informative."""
        return await self._link.explained(error)

    async def close(self) -> None:
        """Close the connections. The consumer of `wakes` closes that."""
        await self._link.close()

    async def list(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens that `wanted` selects, of one client or ("") of all."""
        return await self._reader.listing(client, limit, wanted)

    async def _acquire(self, key_hash: str, request: AcquireRequest, newer_than: int) -> Sequence[object]:
        return await self._link.run(
            lambda: self._scripts.acquire(
                key_hash,
                nonce=request.nonce,
                lease=_ms(self._lease_seconds),
                credential_version=request.credential_version,
                newer_than=newer_than,
                min_ttl=_ms(request.min_ttl),
                adopt=request.adopt,
                proof=self._hash.of_proof(request.proof),
            ),
            name="acquire",
        )

    async def _commit(self, token: Token, *, restored: bool = False) -> Token | Refusal:
        reply = await self._link.run(lambda: self._send(token, restored), name="restore" if restored else "commit")
        with self._link.reading():
            return read_commit(token, reply)

    async def _send(self, token: Token, restored: bool) -> Sequence[object]:
        now = self._clock.monotonic()  # at each attempt, because a repetition is sent later
        return await self._scripts.commit(
            token.key_hash,
            generation=token.generation,
            ttl=_ms(token.remaining(now)),
            latest=_ms(token.expiry_unix),
            credential_version=token.credential_version,
            expiry_margin=_ms(expiry_margin(token.lifetime)),
            cap=_ms(MIN_TTL_SHARE * token.lifetime),
            payload=self._sealer.seal(encode(token).encode(), token.key_hash, token.generation),
            fingerprint=token.access_token.fingerprint(),
            provisional=token.served_as,
            restored=restored,
        )

    async def reseal(self) -> Resealed:
        """Seal all records with the newest key. A record that changes meanwhile is left to its writer."""
        done = Resealed()
        async for key_hash, row in self._reader.everything():
            if row is None:
                continue
            if self._sealer.is_newest(row.payload):
                done.already += 1
            elif plain := self._opening(row.payload, key_hash, row.generation):
                done.resealed += await self._reseal(key_hash, row, plain)
            else:
                done.unreadable += 1
        return done

    async def _reseal(self, key_hash: str, row: Row, plain: bytes) -> bool:
        after = self._sealer.seal(plain, key_hash, row.generation)
        changed = await self._link.run(
            lambda: self._scripts.reseal(key_hash, generation=row.generation, before=row.payload, after=after),
            name="reseal",
        )
        return changed == 1


def _ms(seconds: float) -> int:
    # Rounded down: a lifetime is never extended.
    return math.floor(seconds * 1000)
