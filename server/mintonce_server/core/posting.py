"""One POST to the issuer, told to the sink: with a lease or without."""

import random

from mintonce_server.core import events
from mintonce_server.core.backoff import full_jitter
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import IssuerError, IssuerMalformed
from mintonce_server.core.events import Cause
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Clock
from mintonce_server.core.token import Minted


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
        rejected: str,
        cause: Cause,
    ) -> Minted:
        """Raises IssuerError.

        Args:
            failures: mints of this key that failed in a row before.
            rejected: fingerprint of the token rejected last, or "".
        """
        began = self._clock.monotonic()
        self._sink(events.MintStarted(key_hash, client.name, generation))
        try:
            minted = await client.issuer.mint(key)
            _check_news(minted, rejected)
        except IssuerError as error:
            if error.retry_after is None:
                error.retry_after = full_jitter(failures, self._chance)
            seconds = self._clock.monotonic() - began
            self._sink(
                events.MintFailed(
                    key_hash, client.name, generation, seconds, error.reason, error.issuer_error, str(error),
                    error.remedy, error.retry_after,
                )
            )  # fmt: skip
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


def _check_news(minted: Minted, rejected: str) -> None:
    """Some issuers hand out one token again and again while it lives, refused or not."""
    if minted.access_token.fingerprint() == rejected:
        raise IssuerMalformed(
            "the issuer returned the very token that was rejected",
            remedy="Revoke that token at the issuer, or turn off its reuse of tokens: until it ends none else comes.",
        )
