"""The store of a single process: the same contract without Redis. For tests and trials.

It has the structure of store/redis.py: a server with its own clock, and stores that read its answers by theirs.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.ports import (
    Acquired,
    AcquireRequest,
    Admitted,
    Backoff,
    Failure,
    Hit,
    Lease,
    Listing,
    Refusal,
    Rejection,
    Wait,
    Wake,
    WakeKind,
)
from mintonce_server.core.token import MIN_TTL_SHARE, Minted, Token, expiry_margin
from mintonce_server.store.memory_server import MemoryServer
from mintonce_server.store.memory_usage import MemoryUsage
from mintonce_server.store.memory_values import (
    Busy,
    Denied,
    Found,
    Granted,
    MemoryRow,
    Record,
    Rejected,
    TooSoon,
    Unknown,
)
from mintonce_server.store.record import Payload

QUEUED_MAX: Final = 1000

_GAP: Final = Wake(WakeKind.GAP, "", 0)

T = TypeVar("T")
Send = partial[T]
"""A command: a method of the server with its arguments."""


class MemoryStore:
    """Implements core.ports.TokenStore on a MemoryServer, its own or one that it shares with other stores.

    `clock` is that of the process. The server's clock decides when tokens, leases and back-offs end.
    """

    def __init__(
        self, hasher: KeyHasher, clock: Clock, lease_seconds: float, server: MemoryServer | None = None
    ) -> None:
        self.server = server or MemoryServer(clock)
        self.usage = MemoryUsage(self.server.usage)
        """The fleet's counters."""
        self._hash = hasher
        self._clock = clock
        self._lease_seconds = lease_seconds

    def key_hash(self, key: TokenKey) -> str:
        """The key's name in the store, on the wake channel and in logs."""
        return self._hash(key)

    async def acquire(self, key: TokenKey, request: AcquireRequest) -> Acquired:
        """HIT, WAIT, BACKOFF, or the LEASE."""
        key_hash, asked_at = self._hash(key), self._clock.monotonic()
        answer = await self._ask(
            lambda: partial(
                self.server.acquire,
                key_hash,
                nonce=request.nonce,
                lease=_ms(self._lease_seconds),
                cv=request.credential_version,
                newer_than=request.newer_than,
                min_ttl=_ms(request.min_ttl),
                adopt=request.adopt,
                proof=self._hash.of_proof(request.proof),
            )
        )
        match answer:
            case Found(row):
                return Hit(_token(row, key_hash, asked_at))
            case Busy(ms):
                return Wait(ms / 1000)
            case Denied(failure, ms, row):
                return Backoff(failure, ms / 1000, _token(row, key_hash, asked_at) if row else None)
            case Granted(generation, ms, failures, known, now):
                return Lease(
                    key=key,
                    nonce=request.nonce,
                    credential_version=request.credential_version,
                    generation=generation,
                    expires_at=asked_at + ms / 1000,
                    unix_minus_monotonic=now / 1000 - self._clock.monotonic(),
                    failures=failures,
                    rejected=known.rejected_print,
                    current=known.live_print,
                    current_left=known.live_left / 1000,
                    proof=request.proof,
                )

    async def commit(self, lease: Lease, minted: Minted) -> Token | Refusal:
        """Store a minted token, if its generation is the newest and not rejected. Wakes the fleet, ends the lease."""
        return await self._commit(lease.token(minted, self._hash(lease.key)))

    async def restore(self, token: Token) -> Token | Refusal:
        """Store a live token that the store lost or never received. As `commit`, but it ends no back-off."""
        return await self._commit(token, restored=True)

    async def fail(self, lease: Lease, failure: Failure, retry_after: float) -> None:
        """Record that the mint failed, so that no replica retries for `retry_after` seconds. Ends the lease."""
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
                proof=self._hash.of_proof(lease.proof) if failure.of_proof else "",
            )
        )

    async def renew(self, lease: Lease) -> Lease | None:
        """The lease with its new expiry, or None if it belongs to another holder now."""
        key_hash, asked_at, ms = self._hash(lease.key), self._clock.monotonic(), _ms(self._lease_seconds)
        ours = await self._ask(
            lambda: partial(self.server.renew, key_hash, nonce=lease.nonce, generation=lease.generation, lease=ms)
        )
        return replace(lease, expires_at=asked_at + self._lease_seconds) if ours else None

    async def reject(self, key: TokenKey, generation: int, min_interval: float, fingerprint: str = "") -> Rejection:
        """If the generation is current or not committed yet: reject it and all mints begun before. Wakes the fleet."""
        key_hash = self._hash(key)
        interval = _ms(min_interval)
        answer = await self._ask(
            lambda: partial(
                self.server.reject, key_hash, generation=generation, min_interval=interval, fingerprint=fingerprint
            )
        )
        match answer:
            case Rejected(f):
                return Rejection(was_current=True, generation=f)
            case TooSoon(ms):
                return Rejection(was_current=True, retry_after=ms / 1000)
            case Unknown():
                return Rejection(was_current=False, known=False)
            case None:
                return Rejection(was_current=False)

    async def raise_barrier(self, key: TokenKey, generation: int, fingerprint: str, min_interval: float) -> bool:
        """Restore a rejection that the store lost. False: the last rejection is too recent."""
        key_hash, interval = self._hash(key), _ms(min_interval)
        refused = await self._ask(
            lambda: partial(
                self.server.barrier, key_hash, generation=generation, fingerprint=fingerprint, min_interval=interval
            )
        )
        return refused is None

    async def enter(self, issuer: str, nonce: str) -> Admitted | Wait | Backoff:
        """Whether a POST to the issuer may begin."""
        name = self._hash.of_issuer(issuer)
        return await self._ask(lambda: partial(self.server.enter, name, nonce=nonce))

    async def learn(self, issuer: str, admitted: Admitted, failure: Failure | None, pause: float) -> bool:
        """Record the outcome of a POST. True: the issuer is the cause, and all of its keys wait for `pause` seconds."""
        name = self._hash.of_issuer(issuer)
        return await self._ask(
            lambda: partial(self.server.learn, name, admitted=admitted, failure=failure, pause=_ms(pause))
        )

    async def generations(self, keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        """The generation of each key's current token, 0 for none, in the order of the keys."""
        names = [self._hash(key) for key in keys]
        rows = await self._ask(lambda: partial(self.server.read, names))
        return [row.f if row else 0 for row in rows]

    async def load(self, keys: Sequence[TokenKey]) -> list[Token | StoreUnavailable | None]:
        """The current live tokens, in the order of the keys."""
        names, asked_at = [self._hash(key) for key in keys], self._clock.monotonic()
        rows = await self._ask(lambda: partial(self.server.read, names))
        return [_token(row, name, asked_at) if row else None for name, row in zip(names, rows, strict=True)]

    async def wakes(self) -> AsyncGenerator[Wake]:
        """Messages as they arrive, after a GAP."""
        queue: asyncio.Queue[Wake] = asyncio.Queue(QUEUED_MAX)
        unsubscribe = self.server.subscribe(partial(self._receive, queue))
        try:
            self._receive(queue, _GAP)
            while True:
                yield await queue.get()
        finally:
            unsubscribe()

    async def ping(self) -> None:
        """This store always answers."""

    async def close(self) -> None:
        """There is nothing to close."""

    async def list(self, client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
        """At most `limit` live tokens that `wanted` selects, of one client or ("") of all."""
        asked_at = self._clock.monotonic()
        rows = await self._ask(lambda: partial(self.server.read_all))
        tokens = [_token(row, name, asked_at) for name, row in rows.items()]
        found = [token for token in tokens if client in ("", token.key.client) and wanted(token)]
        return Listing(found[:limit], truncated=len(found) > limit)

    async def _ask(self, send: Callable[[], Send[T]]) -> T:
        """Every request to the server passes here, so that a test can simulate faults.

        `send` makes a new command for each attempt. The server may run it later.
        """
        return send()()

    def _receive(self, queue: asyncio.Queue[Wake], wake: Wake) -> None:
        """Every message of the server passes here."""
        if queue.full():
            # The consumer is too slow and loses messages, which a GAP tells it.
            while not queue.empty():
                queue.get_nowait()
            wake = _GAP
        queue.put_nowait(wake)

    async def _commit(self, token: Token, *, restored: bool = False) -> Token | Refusal:
        answer = await self._ask(lambda: self._send(token, restored=restored))
        return answer if isinstance(answer, Refusal) else replace(token, expiry_unix=answer / 1000)

    def _send(self, token: Token, *, restored: bool) -> Send[int | Refusal]:
        now = self._clock.monotonic()
        record = Record(
            f=token.generation,
            exp=_ms(token.expiry_unix),
            cv=token.credential_version,
            leeway=_ms(expiry_margin(token.lifetime)),
            cap=_ms(MIN_TTL_SHARE * token.lifetime),
            payload=Payload.of(token),
            fingerprint=token.access_token.fingerprint(),
            provisional=token.served_as,
        )
        return partial(self.server.commit, token.key_hash, record, ttl=_ms(token.remaining(now)), restored=restored)


def _token(row: MemoryRow, key_hash: str, asked_at: float) -> Token:
    return row.payload.token(key_hash, asked_at, row.f, row.remaining, row.exp)


def _ms(seconds: float) -> int:
    # Rounded down: a lifetime is never extended.
    return math.floor(seconds * 1000)
