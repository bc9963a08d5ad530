"""One POST to the issuer, with a lease or without, and what it teaches about the issuer."""

import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import edge, events
from mintonce_server.core.backoff import failure_of, full_jitter, trouble_of_issuer
from mintonce_server.core.cache import Entry
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import IssuerError, IssuerUnavailable, Reason, StoreUnavailable
from mintonce_server.core.events import Cause
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Admitted, Backoff, IssuerGate, Wait
from mintonce_server.core.quota import QuotaWindow
from mintonce_server.core.quota_guard import NoTokensLeft, TokenQuotas
from mintonce_server.core.token import Minted
from mintonce_server.core.turns import NoTurn, WaitBudget

PAUSE: Final = (1.0, 1.5)
"""Seconds between two tries while an issuer is out of reach, for all of its keys together: an issuer that is back
serves every key within two seconds."""

_OF_THE_ISSUER: Final = frozenset({Reason.ISSUER_UNAVAILABLE, Reason.ISSUER_THROTTLED})


async def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a POST is for.

    Attributes:
        failures: mints of this key that failed in a row before.
        proof: see ports.AcquireRequest.
        may_begin: whether the lease is still held. Asked at the last moment, too, because waiting takes time. May
            raise StoreUnavailable.
    """

    entry: Entry
    generation: int
    failures: int
    cause: Cause
    proof: str = field(default="", repr=False)
    may_begin: Callable[[], Awaitable[bool]] = _always

    @property
    def key(self) -> TokenKey:
        """What the token is for."""
        return self.entry.key

    @property
    def client(self) -> OAuthClient:
        """The client that mints."""
        return self.entry.client

    @property
    def account(self) -> str:
        """At the issuer."""
        return self.client.account(self.proof)


class Overtaken(Exception):
    """The right to make the POST has ended while it waited. Nothing was sent."""


async def _check(attempt: Attempt) -> None:
    if not await attempt.may_begin():
        raise Overtaken


class MintAttempts:
    """Mints, and reports the result. An IssuerError that leaves here always has a `retry_after`."""

    def __init__(self, clock: Clock, sink: events.EventSink, rng: random.Random) -> None:
        self._clock = clock
        self._sink = sink
        self._rng = rng
        self._quotas = TokenQuotas()

    async def run(self, attempt: Attempt, gate: IssuerGate) -> Minted:
        """Raises IssuerError, Overtaken, and what `may_begin` raises.

        A token whose life was over before it came is an error, too.

        Waits first, at most twice `turns.PATIENCE`: for what another POST learns about the issuer, and for a turn.
        `gate`: where the keys of an issuer share what they learn.
        """
        began = self._clock.monotonic()
        try:
            self._quotas.check(attempt.account, began)
            await _check(attempt)  # entering the gate without a POST would make the others wait for nothing
            admitted = await self._enter(attempt, gate)
            async with attempt.client.turns.turn(attempt.entry.wanted_by, attempt.entry.key_hash):
                await _check(attempt)
                return await self._post(attempt, gate, admitted)
        except (NoTurn, NoTokensLeft) as error:
            self._failed(attempt, self._clock.monotonic() - began, error, posted=False)
            raise

    async def _enter(self, attempt: Attempt, gate: IssuerGate) -> Admitted:
        """Raises the issuer's trouble of now, without a POST, and NoTurn."""
        nonce = f"{attempt.entry.key_hash[:8]}-{secrets.token_hex(8)}"
        turns, budget = attempt.client.turns, WaitBudget()
        while True:
            news = turns.news
            try:
                answer = await gate.enter(attempt.account, nonce)
            except StoreUnavailable as outage:
                self._sink(events.StoreFailed(attempt.entry.key_hash, str(outage), minting=False))
                return Admitted(nonce, 0, 0)
            match answer:
                case Admitted():
                    return answer
                case Backoff(failure, seconds):
                    raise trouble_of_issuer(failure, seconds)
                case Wait(seconds):
                    await budget.wait(news.wait, seconds)

    async def _post(self, attempt: Attempt, gate: IssuerGate, admitted: Admitted) -> Minted:
        entry, began = attempt.entry, self._clock.monotonic()
        self._sink(events.MintStarted(entry.key_hash, entry.client.name, attempt.generation, attempt.cause))
        try:
            minted = await edge.mint(entry.client, entry.key, entry.key_hash, self._sink)
            self._check_alive(minted)
        except IssuerError as error:
            seconds = self._clock.monotonic() - began
            self._heed(attempt, error.quota, minted=False)
            error.retry_after = await self._pause(attempt, gate, admitted, error)
            self._failed(attempt, seconds, error, posted=True)
            raise
        seconds = self._clock.monotonic() - began
        self._sink(
            events.Minted(
                entry.key_hash, entry.key, attempt.generation, attempt.cause, seconds, minted.lifetime,
                minted.access_token.fingerprint(), minted.request_id, minted.scopes, minted.audience,
            )
        )  # fmt: skip
        self._heed(attempt, minted.quota, minted=True)
        await self._learn(attempt, gate, admitted, None, 0.0)
        return minted

    def _heed(self, attempt: Attempt, windows: tuple[QuotaWindow, ...], *, minted: bool) -> None:
        self._quotas.learn(attempt.account, windows, self._clock.monotonic(), minted=minted)
        if windows:
            self._sink(events.QuotaSaid(attempt.entry.key_hash, attempt.client.name, windows))

    async def _pause(self, attempt: Attempt, gate: IssuerGate, admitted: Admitted, error: IssuerError) -> float:
        """Seconds until the key is tried again."""
        asked = error.retry_after
        if error.reason not in _OF_THE_ISSUER and not error.of_client:
            await self._learn(attempt, gate, admitted, None, 0.0)  # it answers
            return asked if asked is not None else full_jitter(attempt.failures, self._rng)
        throttled = error.reason is Reason.ISSUER_THROTTLED
        pause = full_jitter(admitted.failures, self._rng) if throttled else self._rng.uniform(*PAUSE)
        pause = asked if asked is not None else pause
        if await self._learn(attempt, gate, admitted, error, pause):
            error.of_issuer = True
            return pause
        return asked if asked is not None else full_jitter(attempt.failures, self._rng)

    async def _learn(
        self, attempt: Attempt, gate: IssuerGate, admitted: Admitted, error: IssuerError | None, pause: float
    ) -> bool:
        failure = failure_of(error) if error else None
        try:
            return await gate.learn(attempt.account, admitted, failure, pause)
        except StoreUnavailable as outage:
            self._sink(events.StoreFailed(attempt.entry.key_hash, str(outage), minting=False))
            return False
        finally:
            attempt.client.turns.notify()

    def _failed(self, attempt: Attempt, seconds: float, error: IssuerError, *, posted: bool) -> None:
        entry = attempt.entry
        self._sink(
            events.MintFailed(entry.key_hash, entry.key, attempt.generation, attempt.cause, seconds, error, posted)
        )

    def _check_alive(self, minted: Minted) -> None:
        took = self._clock.monotonic() - minted.started_at
        if took >= minted.lifetime:
            raise IssuerUnavailable(
                f"the issuer's answer took {took:.1f} s, and the token in it lived {minted.lifetime:.1f} s",
                remedy="See why the issuer is slow, or raise the token lifetime of this API at the issuer.",
            )
