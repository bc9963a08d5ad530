"""The store of a single process: the same contract without Redis. For tests, and for trying Mintonce out.

It is built as store/redis.py is: a server with a clock of its own, and stores that read its answers by their clocks.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

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
from mintonce_server.core.token import MIN_REMAINING_SHARE, Minted, Token, leeway
from mintonce_server.store.memory_server import MemoryServer
from mintonce_server.store.memory_values import Busy, Denied, Found, Granted, Payload, Record, Row

QUEUED_MAX: Final = 1000

_GAP: Final = Wake(WakeKind.GAP, "", 0)

T = TypeVar("T")
Send = partial[T]
"""A command on its way: a method of the server with all that it is told."""


class MemoryStore:
    """Implements core.ports.TokenStore on a MemoryServer: its own, or one that it shares with other stores.

    `clock` is this process's. The server's own clock decides when tokens, leases and back-offs end.
    """

    def __init__(
        self, hasher: KeyHasher, clock: Clock, lease_seconds: float = 3.0, server: MemoryServer | None = None
    ) -> None:
        self.server = server or MemoryServer(clock)
        self._hash = hasher
        self._clock = clock
        self._lease_seconds = lease_seconds

    def key_hash(self, key: TokenKey) -> str:
        """The key's name in the store, on the wake channel and in logs."""
        return self._hash(key)

    async def acquire(self, key: TokenKey, wish: Wish) -> Acquired:
        """HIT, WAIT, BACKOFF, or the LEASE."""
        key_hash, asked_at = self._hash(key), self._clock.monotonic()
        answer = await self._ask(
            lambda: partial(
                self.server.acquire,
                key_hash,
                nonce=wish.nonce,
                lease=_ms(self._lease_seconds),
                cv=wish.credential_version,
                newer_than=wish.newer_than,
                min_remaining=_ms(wish.min_remaining),
            )
        )
        match answer:
            case Found(row):
                return Hit(_token(row, key_hash, asked_at))
            case Busy(ms):
                return Wait(ms / 1000)
            case Denied(failure, ms, row):
                return Backoff(failure, ms / 1000, _token(row, key_hash, asked_at) if row else None)
            case Granted(generation, ms, failures, rejected, now):
                ends, clocks = asked_at + ms / 1000, now / 1000 - self._clock.monotonic()
                return Lease(key, wish.nonce, wish.credential_version, generation, ends, clocks, failures, rejected)

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        """Store what was minted, if its generation is the newest and not rejected. Wakes the fleet, ends the lease."""
        key_hash = self._hash(lease.key)
        version, clocks = lease.credential_version, lease.unix_minus_monotonic
        return await self._commit(Token.of(minted, lease.key, key_hash, lease.generation, version, clocks))

    async def restore(self, token: Token) -> Token | Refusal:
        """Give back a live token that the store lost, or never got. As `commit`, but it ends no back-off."""
        return await self._commit(token, restored=True)

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        """Record that the mint failed, so that nobody tries again for `retry_after` seconds. Ends the lease."""
        key_hash = self._hash(lease.key)
        await self._ask(
            lambda: partial(
                self.server.fail,
                key_hash,
                nonce=lease.nonce,
                generation=lease.generation,
                retry=_ms(retry_after),
                failure=failure,
                cv=lease.credential_version,
            )
        )

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease with its new end, or None if it is no longer ours."""
        key_hash, asked_at, ms = self._hash(lease.key), self._clock.monotonic(), _ms(self._lease_seconds)
        ours = await self._ask(
            lambda: partial(self.server.renew, key_hash, nonce=lease.nonce, generation=lease.generation, lease=ms)
        )
        return replace(lease, expires_at=asked_at + self._lease_seconds) if ours else None

    async def reject(self, key: TokenKey, generation: int, min_interval: float) -> Rejection:
        """If the generation is current: drop it and bar it and all before it, and wake the fleet."""
        key_hash = self._hash(key)
        answer = await self._ask(
            lambda: partial(self.server.reject, key_hash, generation=generation, min_interval=_ms(min_interval))
        )
        if isinstance(answer, bool):
            return Rejection(was_current=answer)
        return Rejection(was_current=True, retry_after=answer / 1000)

    async def generations(self, keys: Sequence[TokenKey]) -> list[int]:
        """The generation of each key's current token, 0 for none, in the order of the keys."""
        names = [self._hash(key) for key in keys]
        rows = await self._ask(lambda: partial(self.server.read, names))
        return [row.f if row else 0 for row in rows]

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | None]:
        """The current live tokens, in the order of the keys."""
        names, asked_at = [self._hash(key) for key in keys], self._clock.monotonic()
        rows = await self._ask(lambda: partial(self.server.read, names))
        return [_token(row, name, asked_at) if row else None for name, row in zip(names, rows, strict=True)]

    async def wakes(self) -> AsyncGenerator[Wake]:
        """What happens, as it happens, after a GAP."""
        queue: asyncio.Queue[Wake] = asyncio.Queue(QUEUED_MAX)
        leave = self.server.subscribe(partial(self._hear, queue))
        try:
            self._hear(queue, _GAP)
            while True:
                yield await queue.get()
        finally:
            leave()

    async def ping(self) -> None:
        """It always answers."""

    async def close(self) -> None:
        """There is nothing to give back."""

    async def list(self, client: str, limit: int) -> list[Token]:
        """At most `limit` live tokens, of one client or ("") of all."""
        asked_at = self._clock.monotonic()
        rows = await self._ask(lambda: partial(self.server.read_all))
        wanted = {name: row for name, row in rows.items() if client in ("", row.payload.key.client)}
        return [_token(row, name, asked_at) for name, row in wanted.items()][:limit]

    async def _ask(self, send: Callable[[], Send[T]]) -> T:
        """Everything that the server is asked goes through here, so that a test can put trouble between the two.

        `send` makes a command as of now, for each try a new one. The server may run it later than it was made.
        """
        return send()()

    def _hear(self, queue: asyncio.Queue[Wake], wake: Wake) -> None:
        """Everything that the server says unasked comes through here."""
        if queue.full():
            # Too slow a listener lost messages: that is what a GAP says.
            while not queue.empty():
                queue.get_nowait()
            wake = _GAP
        queue.put_nowait(wake)

    async def _commit(self, token: Token, *, restored: bool = False) -> Token | Refusal:
        answer = await self._ask(lambda: self._send(token, restored=restored))
        return answer if isinstance(answer, Refusal) else replace(token, expiry_unix=answer / 1000, by_store=True)

    def _send(self, token: Token, *, restored: bool) -> Send[int | Refusal]:
        now = self._clock.monotonic()
        record = Record(
            f=token.generation,
            exp=0,
            refresh=0,
            life=_ms(token.lifetime),
            cv=token.credential_version,
            leeway=_ms(leeway(token.lifetime)),
            cap=_ms(MIN_REMAINING_SHARE * token.lifetime),
            payload=Payload(token.key, token.access_token, token.token_type, token.scopes),
            fingerprint=token.access_token.fingerprint(),
        )
        return partial(
            self.server.commit,
            token.key_hash,
            record,
            ttl=_ms(token.remaining(now)),
            refresh=_ms(token.refresh_at - now),
            latest=_ms(token.expiry_unix) if token.by_store else 0,
            restored=restored,
        )


def _token(row: Row, key_hash: str, asked_at: float) -> Token:
    # Anchored to the moment before the question was sent: never longer-lived than the truth.
    return Token(
        key=row.payload.key,
        key_hash=key_hash,
        generation=row.f,
        access_token=row.payload.access_token,
        token_type=row.payload.token_type,
        scopes=row.payload.granted,
        lifetime=row.life / 1000,
        expires_at=asked_at + row.remaining / 1000,
        refresh_at=asked_at + row.refresh_in / 1000,
        expiry_unix=row.exp / 1000,
        credential_version=row.cv,
    )


def _ms(seconds: float) -> int:
    # Downwards: a life is never made longer than it is.
    return math.floor(seconds * 1000)
