"""One POST to the issuer, told to the sink: with a lease or without."""

import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mintonce_server.core import edge, events
from mintonce_server.core.backoff import failure_of, full_jitter, trouble_of_issuer
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import IssuerError, IssuerUnavailable, Reason, StoreUnavailable
from mintonce_server.core.events import Cause
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Admitted, Backoff, Clock, IssuerGate, Wait
from mintonce_server.core.token import Minted
from mintonce_server.core.turns import NoTurn, Patience

PAUSE: Final = (1.0, 1.5)
"""Seconds between two tries while an issuer is out of reach, for all of its keys together: one that is back serves
every key within two seconds."""

_OF_THE_ISSUER: Final = frozenset({Reason.ISSUER_UNAVAILABLE, Reason.ISSUER_THROTTLED})


async def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Post:
    """What a POST is for.

    Attributes:
        failures: mints of this key that failed in a row before.
        caller: who wants the token; its share of the turns at the issuer is bounded.
        proof: see ports.Wish.
        may_begin: whether the lease is held still. Asked at the last moment, too, because waiting takes time. May
            raise StoreUnavailable.
    """

    client: OAuthClient
    key: TokenKey
    key_hash: str
    generation: int
    failures: int
    cause: Cause
    caller: str
    proof: str = field(default="", repr=False)
    may_begin: Callable[[], Awaitable[bool]] = _always

    @property
    def account(self) -> str:
        """At the issuer."""
        return self.client.account(self.proof)


class Overtaken(Exception):
    """The right to make the POST has ended while it waited. Nothing was sent."""


async def _check(post: Post) -> None:
    if not await post.may_begin():
        raise Overtaken


class Posting:
    """Mints, and says what came of it. An IssuerError that leaves here always has a `retry_after`."""

    def __init__(self, clock: Clock, sink: events.EventSink, chance: random.Random) -> None:
        self._clock = clock
        self._sink = sink
        self._chance = chance

    async def mint(self, post: Post, gate: IssuerGate) -> Minted:
        """Raises IssuerError, Overtaken, and what `may_begin` raises.

        A token whose life was over before it came is an error, too.

        Waits first, at most twice `turns.PATIENCE`: for what is learned of the issuer by another POST, and for a turn.
        `gate`: where the keys of an issuer share what they learn.
        """
        began = self._clock.monotonic()
        try:
            await _check(post)  # who enters and makes no POST keeps the others waiting for nothing
            admitted = await self._enter(post, gate)
            async with post.client.turns.turn(post.caller, post.key_hash):
                await _check(post)
                return await self._post(post, gate, admitted)
        except NoTurn as error:
            self._tell(post, self._clock.monotonic() - began, error)
            raise

    async def _enter(self, post: Post, gate: IssuerGate) -> Admitted:
        """Raises the issuer's trouble of now, without a POST, and NoTurn."""
        nonce = f"{post.key_hash[:8]}-{secrets.token_hex(8)}"
        turns, patience = post.client.turns, Patience()
        while True:
            news = turns.news
            try:
                answer = await gate.enter(post.account, nonce)
            except StoreUnavailable as outage:
                self._sink(events.StoreFailed(post.key_hash, str(outage), minting=False))
                return Admitted(nonce, 0, 0)
            match answer:
                case Admitted():
                    return answer
                case Backoff(failure, seconds):
                    raise trouble_of_issuer(failure, seconds)
                case Wait(seconds):
                    await patience.wait(news.wait, seconds)

    async def _post(self, post: Post, gate: IssuerGate, admitted: Admitted) -> Minted:
        client, key, key_hash, generation, cause = post.client, post.key, post.key_hash, post.generation, post.cause
        began = self._clock.monotonic()
        self._sink(events.MintStarted(key_hash, client.name, generation, cause))
        try:
            minted = await edge.mint(client, key, key_hash, self._sink)
            self._check_alive(minted)
        except IssuerError as error:
            seconds = self._clock.monotonic() - began
            error.retry_after = await self._pause(post, gate, admitted, error)
            self._tell(post, seconds, error)
            self._sink(events.Posted(key_hash, key, generation, cause, seconds, "", error, error.request_id))
            raise
        seconds = self._clock.monotonic() - began
        self._sink(events.Minted(key_hash, client.name, generation, seconds, minted.lifetime))
        fingerprint = minted.access_token.fingerprint()
        self._sink(
            events.Posted(
                key_hash, key, generation, cause, seconds, fingerprint, None, minted.request_id,
                minted.scopes, minted.audience,
            )
        )  # fmt: skip
        await self._learn(post, gate, admitted, None, 0.0)
        return minted

    async def _pause(self, post: Post, gate: IssuerGate, admitted: Admitted, error: IssuerError) -> float:
        """Seconds until the key is tried again."""
        asked = error.retry_after
        if error.reason not in _OF_THE_ISSUER and not error.of_client:
            await self._learn(post, gate, admitted, None, 0.0)  # it answers
            return asked if asked is not None else full_jitter(post.failures, self._chance)
        throttled = error.reason is Reason.ISSUER_THROTTLED
        pause = full_jitter(admitted.failures, self._chance) if throttled else self._chance.uniform(*PAUSE)
        pause = asked if asked is not None else pause
        if await self._learn(post, gate, admitted, error, pause):
            error.of_issuer = True
            return pause
        return asked if asked is not None else full_jitter(post.failures, self._chance)

    async def _learn(
        self, post: Post, gate: IssuerGate, admitted: Admitted, error: IssuerError | None, pause: float
    ) -> bool:
        failure = failure_of(error) if error else None
        try:
            return await gate.learn(post.account, admitted, failure, pause)
        except StoreUnavailable as outage:
            self._sink(events.StoreFailed(post.key_hash, str(outage), minting=False))
            return False
        finally:
            post.client.turns.tell()

    def _tell(self, post: Post, seconds: float, error: IssuerError) -> None:
        self._sink(
            events.MintFailed(
                post.key_hash, post.client.name, post.generation, seconds, error.reason, error.issuer_error,
                str(error), error.remedy, error.retry_after or 0.0,
            )
        )  # fmt: skip

    def _check_alive(self, minted: Minted) -> None:
        took = self._clock.monotonic() - minted.started_at
        if took >= minted.lifetime:
            raise IssuerUnavailable(
                f"the issuer's answer took {took:.1f} s, and the token in it lived {minted.lifetime:.1f} s",
                remedy="See why the issuer is slow, or raise the token lifetime of this API at the issuer.",
            )
