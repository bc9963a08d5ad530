"""One POST to the issuer, told to the sink: with a lease or without."""

import random

from mintonce_server.core import edge, events
from mintonce_server.core.backoff import full_jitter
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import IssuerError, IssuerUnavailable
from mintonce_server.core.events import Cause
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Clock
from mintonce_server.core.token import Minted
from mintonce_server.core.turns import NoTurn


class Posting:
    """Mints, and says what came of it. An IssuerError that leaves here always has a `retry_after`."""

    def __init__(self, clock: Clock, sink: events.EventSink, chance: random.Random) -> None:
        self._clock = clock
        self._sink = sink
        self._chance = chance

    async def mint(
        self,
        client: OAuthClient,
        key: TokenKey,
        key_hash: str,
        generation: int,
        failures: int,
        cause: Cause,
        caller: str,
    ) -> Minted:
        """Raises IssuerError. A token whose life was over before it came is an error, too.

        Waits at most `turns.PATIENCE` for a turn at the issuer first.

        Args:
            failures: mints of this key that failed in a row before.
            caller: who wants the token; its share of the turns is bounded.
        """
        began = self._clock.monotonic()
        try:
            async with client.turns.turn(caller, key_hash):
                return await self._post(client, key, key_hash, generation, failures, cause)
        except NoTurn as error:
            self._tell(client, key_hash, generation, self._clock.monotonic() - began, error)
            raise

    async def _post(
        self, client: OAuthClient, key: TokenKey, key_hash: str, generation: int, failures: int, cause: Cause
    ) -> Minted:
        began = self._clock.monotonic()
        self._sink(events.MintStarted(key_hash, client.name, generation, cause))
        try:
            minted = await edge.mint(client, key, key_hash, self._sink)
            self._check_alive(minted)
        except IssuerError as error:
            if error.retry_after is None:
                error.retry_after = full_jitter(failures, self._chance)
            seconds = self._clock.monotonic() - began
            self._tell(client, key_hash, generation, seconds, error)
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
        return minted

    def _tell(self, client: OAuthClient, key_hash: str, generation: int, seconds: float, error: IssuerError) -> None:
        self._sink(
            events.MintFailed(
                key_hash, client.name, generation, seconds, error.reason, error.issuer_error, str(error),
                error.remedy, error.retry_after or 0.0,
            )
        )  # fmt: skip

    def _check_alive(self, minted: Minted) -> None:
        took = self._clock.monotonic() - minted.started_at
        if took >= minted.lifetime:
            raise IssuerUnavailable(
                f"the issuer's answer took {took:.1f} s, and the token in it lived {minted.lifetime:.1f} s",
                remedy="See why the issuer is slow, or raise the token lifetime of this API at the issuer.",
            )
