"""From acquire to commit: how a token comes from the store, or by a mint with its lease."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import edge, events
from mintonce_server.core.backoff import error_of, failure_of
from mintonce_server.core.cache import NEVER, Entry
from mintonce_server.core.errors import (
    IssuerError,
    IssuerMalformed,
    MintonceError,
    Reason,
    StoreUnavailable,
    WaitTimedOut,
)
from mintonce_server.core.events import Cause
from mintonce_server.core.mint_attempt import Attempt, MintAttempts, Overtaken
from mintonce_server.core.ports import AcquireRequest, Backoff, Hit, Lease, Refusal, TokenStore, Wait
from mintonce_server.core.single_flight import Wakeups
from mintonce_server.core.token import Minted, Origin, Token
from mintonce_server.core.turns import PATIENCE

WAIT_BOUND: Final = 0.25
"""Wake messages are hints: a waiter asks again after this many seconds in any case."""
WAIT_LEAST: Final = 0.01
"""And not before this many, whatever end a damaged lease names."""
RENEW_EVERY: Final = 1.0
"""Seconds, or a third of what is left of a lease if that is less."""
RENEW_LEAST: Final = 0.05
FLIGHT_BOUND: Final = 30.0
"""A fetch ends after so many seconds, however many other leases come and go."""
TOO_SHORT: Final = 1.0
"""A token that lives no longer than this many seconds is given to those waiting and not stored. A back-off because of
such tokens is short: callers without another token wait until it ends."""
CONFIRMED: Final = 0.1
"""Seconds for which a confirmed lease is good for a POST."""
SAME_END: Final = 1.0
"""Seconds. Issuers count in whole ones: an end that differs by no more is the same end."""


@dataclass(frozen=True, slots=True)
class Obtained:
    """The result of a fetch.

    Attributes:
        confirmed_at: when the store, which holds it, was asked; NEVER if the store does not have it.
        trouble: why this live token is not as good as requested.
    """

    token: Token
    origin: Origin
    confirmed_at: float
    trouble: MintonceError | None = None


@dataclass(slots=True)
class _Held:
    """A lease that is being renewed.

    Attributes:
        lease: as it is now; None once another replica has it.
        confirmed_at: when the store was asked to give or renew it.
    """

    lease: Lease | None
    store: TokenStore
    clock: Clock
    confirmed_at: float

    async def renew(self, lease: Lease) -> None:
        """Raises StoreUnavailable."""
        asked_at = self.clock.monotonic()
        # None: another replica has the lease now. The commit decides whose token counts.
        self.lease = await self.store.renew(lease)
        self.confirmed_at = asked_at

    async def may_post(self) -> bool:
        """Whether it is still held. A process that was stopped finds out here, before it sends anything.

        After a wait the store confirms it, because the lease may have been lost there. Raises StoreUnavailable.
        """
        now = self.clock.monotonic()
        if self.lease is not None and now < self.lease.expires_at and now - self.confirmed_at > CONFIRMED:
            await self.renew(self.lease)
        return self.lease is not None and self.clock.monotonic() < self.lease.expires_at


class LeasedMinter:
    """Asks the store until it gives a token, a back-off, or the lease; with the lease, mints and commits."""

    def __init__(
        self,
        store: TokenStore,
        clock: Clock,
        sink: events.EventSink,
        wakeups: Wakeups,
        attempts: MintAttempts,
        mint_deadline: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._sink = sink
        self._wakeups = wakeups
        self._attempts = attempts
        self._mint_deadline = mint_deadline

    async def obtain(self, entry: Entry, newer_than: int, min_ttl: float, cause: Cause) -> Obtained:
        """Raises IssuerError, StoreUnavailable, or WaitTimedOut after FLIGHT_BOUND."""
        client, key_hash = entry.client, entry.key_hash
        proof = edge.proof(client, self._sink)
        request = AcquireRequest(secrets.token_hex(16), client.credential_version, newer_than, min_ttl, proof=proof)
        started, waited = self._clock.monotonic(), False
        with self._wakeups.listen(key_hash) as woken:
            while (asked_at := self._clock.monotonic()) - started < FLIGHT_BOUND:
                woken.clear()
                match await self._store.acquire(entry.key, request):
                    case Hit(token):
                        if waited:
                            self._waited(key_hash, started, "served", token.generation)
                        return Obtained(token, Origin.STORE, asked_at)
                    case Wait(seconds):
                        waited = True
                        with suppress(TimeoutError):
                            async with asyncio.timeout(max(WAIT_LEAST, min(seconds, WAIT_BOUND))):
                                await woken.wait()
                    case Backoff(failure, seconds, None) if ends_soon(error_of(failure, seconds)):
                        await asyncio.sleep(seconds)
                    case Backoff(failure, seconds, token):
                        if waited:
                            self._waited(key_hash, started, "failed")
                        return _settle(token, asked_at, error_of(failure, seconds))
                    case Lease() as lease:
                        if waited:
                            self._waited(key_hash, started, "minted")
                            waited = False
                        obtained = await self._with_lease(entry, lease, asked_at, request, cause)
                        if obtained is not None:
                            if obtained.token.reissued and obtained.origin is Origin.MINT:
                                self._sink(events.Reissued(key_hash, client.name, lease.generation, entry.rejected_by))
                            return obtained
                        # One POST a nonce: a store that forgot its refusal must not hand out this lease again.
                        request = replace(request, nonce=secrets.token_hex(16))
        raise WaitTimedOut(
            f"other replicas held the lease of this key for {FLIGHT_BOUND:.0f} s without a token",
            remedy="Look for lease_lost and commit_refused events in the servers' logs.",
            retry_after=WAIT_BOUND,
        )

    def _waited(self, key_hash: str, since: float, result: str, generation: int = 0) -> None:
        self._sink(events.Waited(key_hash, generation, self._clock.monotonic() - since, result))

    async def _with_lease(
        self, entry: Entry, lease: Lease, asked_at: float, request: AcquireRequest, cause: Cause
    ) -> Obtained | None:
        """Mint and commit. None: the lease or the token was overtaken, so ask the store again."""
        try:
            minted = await self._mint(entry, lease, asked_at, cause)
        except Overtaken:
            self._sink(events.LeaseLost(entry.key_hash, lease.generation))
            return None
        except IssuerError as error:
            return await self._failed(entry.key_hash, lease, error, request)
        left = minted.lifetime - (self._clock.monotonic() - minted.started_at)
        repeats = minted.access_token.fingerprint() == lease.current
        if repeats and left <= lease.current_left + SAME_END:
            await self._repeated(entry, lease)
            return None
        if left <= TOO_SHORT:
            return await self._too_short(entry.key_hash, lease, minted)
        return await self._commit(entry.key_hash, lease, minted)

    async def _mint(self, entry: Entry, lease: Lease, asked_at: float, cause: Cause) -> Minted:
        async with self._renewing(lease, asked_at) as held:
            attempt = Attempt(entry, lease.generation, lease.failures, cause, lease.proof, held.may_post)
            return await self._attempts.run(attempt, self._store)

    async def _repeated(self, entry: Entry, lease: Lease) -> None:
        """The issuer gave the token that is stored. Until that ends, asking again brings nothing else.

        From now on the store answers with that token and this back-off, or with a new lease once the token has ended.
        """
        self._sink(events.Repeated(entry.key_hash, entry.client.name, lease.generation))
        error = IssuerMalformed(
            "the issuer repeats the token that it gave before until that ends",
            remedy="Nothing is lost: the token is served to its end. Turn off the issuer's reuse of tokens if you can.",
            retry_after=lease.current_left,
        )
        await self._share_failure(entry.key_hash, lease, error, while_live=True)

    async def _failed(self, key_hash: str, lease: Lease, error: IssuerError, request: AcquireRequest) -> Obtained:
        """Share the failure with the fleet, and take what is live all the same."""
        asked_at = self._clock.monotonic()
        try:
            await self._store.fail(lease, failure_of(error), error.retry_after or 0.0)
            answer = await self._store.acquire(lease.key, request)
        except StoreUnavailable as outage:
            self._sink(events.StoreFailed(key_hash, str(outage), minting=False))
            raise error from outage
        match answer:
            case Hit(token):
                return Obtained(token, Origin.STORE, asked_at)
            case Backoff(token=token):
                return _settle(token, asked_at, error)
            case Lease() as again:
                # The POST outlived the first lease, so its failure was not recorded. This one must not lie idle.
                await self._share_failure(key_hash, again, error)
                raise error
            case Wait():
                raise error

    async def _too_short(self, key_hash: str, lease: Lease, minted: Minted) -> Obtained:
        """At most one POST a second for a key whose tokens are dead on arrival (protocol.md)."""
        if minted.lifetime <= TOO_SHORT:
            error = IssuerMalformed(
                f"the issuer's tokens live {minted.lifetime:.1f} s: too short to share",
                remedy="Raise the token lifetime of this API at the issuer.",
                retry_after=TOO_SHORT,
            )
        else:
            error = IssuerMalformed(
                f"the issuer answered when its token of {minted.lifetime:.1f} s was about to end",
                remedy="See why the issuer is slow, or raise the token lifetime of this API at the issuer.",
                retry_after=TOO_SHORT,
            )
        await self._share_failure(key_hash, lease, error)
        return Obtained(lease.token(minted, key_hash), Origin.MINT, NEVER, error)

    async def _share_failure(
        self, key_hash: str, lease: Lease, error: IssuerError, *, while_live: bool = False
    ) -> None:
        """What there is to say to the callers is known already, so a store that is away now changes nothing."""
        try:
            await self._store.fail(lease, failure_of(error, while_live=while_live), error.retry_after or 0.0)
        except StoreUnavailable as outage:
            self._sink(events.StoreFailed(key_hash, str(outage), minting=False))

    async def _commit(self, key_hash: str, lease: Lease, minted: Minted) -> Obtained | None:
        asked_at = self._clock.monotonic()
        try:
            committed = await self._store.commit(lease, minted)
        except StoreUnavailable as error:
            # The token is paid for and live: this replica serves it from memory until the store is back and gets it.
            self._sink(events.StoreFailed(key_hash, str(error), minting=True))
            return Obtained(lease.token(minted, key_hash), Origin.MINT, NEVER, error)
        if isinstance(committed, Refusal):
            self._sink(events.CommitRefused(key_hash, lease.generation, committed))
            return self._refused(lease.token(minted, key_hash), committed)
        self._sink(events.Committed(key_hash, lease.generation))
        return Obtained(committed, Origin.MINT, asked_at)

    def _refused(self, token: Token, refusal: Refusal) -> Obtained | None:
        """Overtaken: ask for the better one. Not so with old credentials: asking again would mint again."""
        if refusal is not Refusal.OLD_CREDENTIALS:
            return None
        error = StoreUnavailable(
            "the store refused the token of this key: other replicas have newer credentials of this client",
            remedy="Give every replica the same credential_version for this client.",
        )
        return Obtained(token, Origin.MINT, NEVER, error)

    @asynccontextmanager
    async def _renewing(self, lease: Lease, asked_at: float) -> AsyncGenerator[_Held]:
        """Keep the lease while the POST waits for its turn and is under way, but never past the mint's deadline."""
        held = _Held(lease, self._store, self._clock, asked_at)
        task = asyncio.create_task(self._renew(held), name="renew lease")
        try:
            yield held
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _renew(self, held: _Held) -> None:
        ends = self._clock.monotonic() + 2 * PATIENCE + self._mint_deadline
        while (lease := held.lease) is not None and (now := self._clock.monotonic()) < ends:
            await asyncio.sleep(max(RENEW_LEAST, min(RENEW_EVERY, (lease.expires_at - now) / 3)))
            try:
                await held.renew(lease)
            except StoreUnavailable:
                continue  # tried again soon; the lease lapses by itself otherwise


def ends_soon(trouble: MintonceError) -> bool:
    """Whether it is the trouble with tokens that are too short, or repeated, and over in a moment."""
    return trouble.reason is Reason.ISSUER_MALFORMED and (trouble.retry_after or 0.0) <= TOO_SHORT


def _settle(token: Token | None, asked_at: float, error: MintonceError) -> Obtained:
    """The live token with its blemish, or the error."""
    if token is None:
        raise error
    return Obtained(token, Origin.STORE, asked_at, error)
