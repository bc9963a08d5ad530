"""The store of a fleet: one Redis or Valkey that all replicas share."""

import math
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import (
    Acquired,
    Admitted,
    Backoff,
    Clock,
    Failure,
    Lease,
    Listing,
    Refusal,
    Rejection,
    Wait,
    Wake,
    Wish,
)
from mintonce_server.core.token import MIN_REMAINING_SHARE, Minted, Token, leeway
from mintonce_server.store import replies, wake
from mintonce_server.store.keyring import FIXED_KEYRING, Keyring
from mintonce_server.store.link import Link
from mintonce_server.store.names import PREFIX, Names
from mintonce_server.store.notifications import Dropped, Notifications
from mintonce_server.store.opening import Alarm, Opening
from mintonce_server.store.reading import Reader
from mintonce_server.store.record import Row, encode
from mintonce_server.store.replies import Question
from mintonce_server.store.scripts import Scripts
from mintonce_server.store.sealing import Sealer
from mintonce_server.store.topology import Target, open_target

LUA_EXACT: Final = 2**53
"""A script's numbers are exact below this. No generation reaches it."""

UNREADABLE_MAX: Final = 3
"""Records in a row that an `acquire` passes over because it cannot read them; each needs a mint in between."""


@dataclass(slots=True)
class Resealed:
    """Counts of records: sealed anew, sealed by the newest key before, and not to be opened."""

    resealed: int = 0
    already: int = 0
    unreadable: int = 0


def _ignore(*_: object) -> None:
    """Default callback: ignore."""


class RedisStore:
    """Implements core.ports.TokenStore by the scripts in lua/. Build it with `connect`; whoever does closes it."""

    def __init__(
        self,
        link: Link,
        *,
        hasher: KeyHasher,
        clock: Clock,
        lease_seconds: float,
        trouble: wake.Trouble = _ignore,
        notifications: Notifications,
        sealer: Sealer,
        alarm: Alarm,
    ) -> None:
        self._link = link
        self._scripts = Scripts(link.client, notifications, link.names)
        self._sealer = sealer
        self._opening = Opening(sealer, alarm, clock)
        self._reader = Reader(link, hasher, clock, self._opening)
        self._hash = hasher
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._trouble = trouble
        self._notifications = notifications
        self._spread = random.Random()  # noqa: S311 - spreads reconnections; no secret

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        prefix: str = PREFIX,
        clock: Clock,
        hasher: KeyHasher | None = None,
        keyring: Callable[[], Keyring] = lambda: FIXED_KEYRING,
        identities: Mapping[str, str] | None = None,
        lease_seconds: float = 3.0,
        deadline: float = 0.25,
        trouble: wake.Trouble = _ignore,
        dropped: Callable[[int], None] = _ignore,
        alarm: Alarm = _ignore,
    ) -> Self:
        """To a server, to the primary that Sentinels name, or to a Cluster, when first used.

        Args:
            url: as store/topology/url.py reads it; anything else raises ValueError, without showing the password.
            prefix: of all its names in Redis. Stores with another one do not meet it there.
            deadline: seconds for each operation, its one repetition included.
            hasher: names keys; by default by the keyring's index key.
            keyring: what seals, as it is now. The default seals with keys that everybody has.
            identities: of the clients, for the default hasher; see KeyHasher.
            alarm: told of records that do not open.
            trouble: told each time the wake subscription breaks; it mends itself.
            dropped: called now and then with the number of wake messages that were dropped.
        """
        link = Link.from_url(url, deadline=deadline, names=Names(prefix))
        return cls(
            link,
            hasher=hasher or KeyHasher(keyring().index_key, identities),
            clock=clock,
            lease_seconds=lease_seconds,
            trouble=trouble,
            notifications=Notifications(keyring().index_key, Dropped(clock, dropped).add),
            sealer=Sealer(keyring, clock),
            alarm=alarm,
        )

    def key_hash(self, key: TokenKey) -> str:
        """The key's name in the store, on the wake channel and in logs."""
        return self._hash(key)

    async def acquire(self, key: TokenKey, wish: Wish) -> Acquired:
        """HIT, WAIT, BACKOFF, or the LEASE. When a record cannot be read, only a newer one will do."""
        key_hash, newer_than = self._hash(key), wish.newer_than
        for _ in range(UNREADABLE_MAX):
            asked_at = self._clock.monotonic()
            reply = await self._acquire(key_hash, wish, newer_than)
            with self._link.reading():
                question = Question(key, key_hash, wish, asked_at, self._clock.monotonic())
                answer = replies.acquired(reply, question, self._opening)
            if not isinstance(answer, int):
                return answer
            newer_than = max(newer_than, answer)
        with self._link.reading():
            raise replies.Unexpected

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        """Store what was minted, if its generation is the newest and not rejected. Wakes the fleet, ends the lease."""
        return await self._commit(lease.token(minted, self._hash(lease.key)))

    async def restore(self, token: Token) -> Token | Refusal:
        """Give back a live token that the store lost, or never got. As `commit`, but it ends no back-off."""
        return await self._commit(token, restored=True)

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        """Record that the mint failed, so that nobody tries again for `retry_after` seconds. Ends the lease."""
        key_hash = self._hash(lease.key)
        reply = await self._link.run(
            lambda: self._scripts.fail(
                key_hash,
                nonce=lease.nonce,
                generation=lease.generation,
                retry=_ms(retry_after),
                failure=_text(failure),
                credential_version=lease.credential_version,
                while_live=failure.while_live,
                own=not failure.of_issuer,
                proof=self._hash.of_proof(lease.proof) if failure.of_proof else "",
            )
        )
        with self._link.reading():
            replies.flag(reply)

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease with its new end, or None if it is no longer ours."""
        key_hash, asked_at = self._hash(lease.key), self._clock.monotonic()
        reply = await self._link.run(
            lambda: self._scripts.renew(
                key_hash, nonce=lease.nonce, generation=lease.generation, lease=_ms(self._lease_seconds)
            )
        )
        with self._link.reading():
            return replace(lease, expires_at=asked_at + self._lease_seconds) if replies.flag(reply) else None

    async def reject(self, key: TokenKey, generation: int, min_interval: float, fingerprint: str = "") -> Rejection:
        """If the generation is current, or not committed yet: bar it and what was begun before, and wake the fleet."""
        if generation >= LUA_EXACT:
            return Rejection(was_current=False, known=False)
        key_hash = self._hash(key)
        reply = await self._link.run(
            lambda: self._scripts.reject(
                key_hash, generation=generation, min_interval=_ms(min_interval), fingerprint=fingerprint
            )
        )
        with self._link.reading():
            return replies.rejection(reply)

    async def raise_barrier(self, key: TokenKey, generation: int, fingerprint: str, min_interval: float) -> bool:
        """Give back the memory of a rejection that the store lost. False: the last rejection is too fresh."""
        key_hash, interval = self._hash(key), _ms(min_interval)
        reply = await self._link.run(
            lambda: self._scripts.barrier(
                key_hash, generation=generation, fingerprint=fingerprint, min_interval=interval
            )
        )
        with self._link.reading():
            return replies.barrier_raised(reply)

    async def enter(self, issuer: str, nonce: str) -> Admitted | Wait | Backoff:
        """Whether a POST to the issuer may begin."""
        issuer_hash = self._hash.of_issuer(issuer)
        reply = await self._link.run(lambda: self._scripts.enter(issuer_hash, nonce=nonce))
        with self._link.reading():
            return replies.entered(reply, nonce)

    async def learn(self, issuer: str, admitted: Admitted, failure: Failure | None, pause: float) -> bool:
        """What came of it. True: the trouble is the issuer's, and all of its keys wait for `pause` seconds."""
        issuer_hash, what = self._hash.of_issuer(issuer), _text(failure) if failure else ""
        reply = await self._link.run(
            lambda: self._scripts.learn(
                issuer_hash, nonce=admitted.nonce, began=admitted.began, failure=what, pause=_ms(pause)
            )
        )
        with self._link.reading():
            return replies.flag(reply)

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        """The generation of each key's current token, 0 for none, in the order of the keys, in one round trip."""
        return await self._reader.generations(keys)

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        """The current live tokens, in the order of the keys, in one round trip."""
        return await self._reader.load(keys)

    def wakes(self) -> AsyncGenerator[Wake]:
        """What happens in the fleet, as it happens. Reconnects by itself; each new connection begins with a GAP."""
        return wake.wakes(self._link, self._notifications.decode, self._trouble, self._spread)

    async def ping(self) -> None:
        """Whether the store answers."""
        await self._reader.ping()

    async def exchange(self, target: Target) -> None:
        """Go over to connections with these credentials; see Link.exchange."""
        await self._link.exchange(open_target(target, self._link.deadline))

    async def diagnose(self, error: StoreUnavailable) -> StoreUnavailable:
        """The same failure with more to say, if a closer look shows more."""
        return await self._link.explained(error)

    async def close(self) -> None:
        """Give the connections back. Whoever consumes `wakes` closes that."""
        await self._link.close()

    async def list(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens, of one client or ("") of all, out of those that are wanted."""
        return await self._reader.listing(client, limit, wanted)

    async def _acquire(self, key_hash: str, wish: Wish, newer_than: int) -> Sequence[object]:
        return await self._link.run(
            lambda: self._scripts.acquire(
                key_hash,
                nonce=wish.nonce,
                lease=_ms(self._lease_seconds),
                credential_version=wish.credential_version,
                newer_than=newer_than,
                min_remaining=_ms(wish.min_remaining),
                adopt=wish.adopt,
                proof=self._hash.of_proof(wish.proof),
            )
        )

    async def _commit(self, token: Token, *, restored: bool = False) -> Token | Refusal:
        reply = await self._link.run(lambda: self._send(token, restored))
        with self._link.reading():
            return replies.committed(token, reply)

    async def _send(self, token: Token, restored: bool) -> Sequence[object]:
        now = self._clock.monotonic()  # at each try anew: a repetition comes later
        return await self._scripts.commit(
            token.key_hash,
            generation=token.generation,
            ttl=_ms(token.remaining(now)),
            latest=_ms(token.expiry_unix),
            credential_version=token.credential_version,
            leeway=_ms(leeway(token.lifetime)),
            cap=_ms(MIN_REMAINING_SHARE * token.lifetime),
            payload=self._sealer.seal(encode(token).encode(), token.key_hash, token.generation),
            fingerprint=token.access_token.fingerprint(),
            provisional=token.served_as,
            restored=restored,
        )

    async def reseal(self) -> Resealed:
        """Seal all with the newest key. What changes meanwhile was sealed by whoever changed it."""
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
            lambda: self._scripts.reseal(key_hash, generation=row.generation, before=row.payload, after=after)
        )
        return changed == 1


def _ms(seconds: float) -> int:
    # Downwards: a life is never made longer than it is.
    return math.floor(seconds * 1000)


def _text(failure: Failure) -> str:
    """As the scripts keep it."""
    return f"{failure.reason} {failure.issuer_error}"
