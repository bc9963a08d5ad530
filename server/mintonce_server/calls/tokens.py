"""What callers do with one token. Each transport reads the call and writes the answer; all between is here, once."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from mintonce_server.calls.authorize import Authorizer
from mintonce_server.calls.call import Call
from mintonce_server.calls.list_turns import ListTurns
from mintonce_server.core.broker import Broker, Served
from mintonce_server.core.errors import WaitTimedOut
from mintonce_server.core.key import TokenKey
from mintonce_server.core.policy import Act
from mintonce_server.core.token import LIVE_PATIENCE
from mintonce_server.core.usage import UsageCounter

Wanted = Callable[[], tuple[TokenKey, float]]
"""Reads the key and min_ttl in seconds. Raises InvalidRequest."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is to be rejected, by its SHA-256. `key`: None where the caller does not say what it is for."""

    client: str
    sha256: bytes
    key: TokenKey | None


Rejected = Callable[[], tuple[TokenKey, int | bytes]]
"""Reads the key, and the generation or the SHA-256 of the rejected token. Raises InvalidRequest."""


class TokenCalls:
    """Authorized, limited, audited and counted.

    Attributes:
        authorizer: decides about each call.
        lists: who makes a list of tokens next.
    """

    def __init__(self, broker: Broker, authorizer: Authorizer, usage: UsageCounter | None) -> None:
        """`usage`: counts the tokens that are served."""
        self.authorizer = authorizer
        self.lists = ListTurns()
        self._searches = ListTurns()
        self._broker = broker
        self._count = usage.served if usage else _uncounted

    async def get(
        self,
        call: Call,
        wanted: Wanted,
        *,
        patience: float = LIVE_PATIENCE,
        least: float = 0.0,
    ) -> Served:
        """A live token.

        Args:
            patience: seconds to wait at most for a better token than the live one.
            least: seconds that a token must have left; one with less counts as none.
        """
        with self.authorizer.authorize(call, Act.GET) as scope:
            key, min_ttl = wanted()
            scope.allow(key := self._broker.canonical(key))
            served = self._broker.peek(key, min_ttl, least)
            if served is None:
                call.request_id()
                call.begin_span()
                admit, left = scope.admit_mint, call.deadline()
                served = await self._broker.get(key, min_ttl, left, admit, scope.name, patience=patience, least=least)
                scope.check()  # it may have taken a while
            scope.answer(served)
        self._count(key.client)
        return served

    async def watch(self, call: Call, wanted: Callable[[], TokenKey]) -> AsyncGenerator[Served, None]:
        """The live token, then each successor."""
        call.request_id()
        call.begin_span()
        with self.authorizer.authorize(call, Act.WATCH, watching=True) as scope:
            key = self._broker.canonical(wanted())
            scope.allow(key)
            watch = self._broker.watch(key, call.deadline(), scope.admit_mint, scope.check, scope.name)
            async with aclosing(watch) as tokens:
                async for served in tokens:
                    scope.check()
                    scope.answer(served)
                    self.authorizer.record_sent(scope)
                    self._count(key.client)
                    yield served

    async def reject(self, call: Call, wanted: Rejected) -> bool:
        """Whether the token was the current one."""
        call.request_id()
        call.begin_span()
        with self.authorizer.authorize(call, Act.REJECT) as scope:
            key, scope.rejected = wanted()
            scope.allow(key := self._broker.canonical(key))
            scope.admit_reject()
            return await self._broker.reject(key, scope.rejected, scope.name)

    async def revoke(self, call: Call, wanted: Callable[[], Revocation]) -> bool:
        """As `reject`. Where the key is not said, the client's tokens are looked through, whether or not it is held
        here, so that the time tells nothing."""
        call.request_id()
        call.begin_span()
        with self.authorizer.authorize(call, Act.REJECT) as scope:
            revoked = wanted()
            scope.client, scope.rejected = revoked.client, revoked.sha256
            if revoked.key is not None:
                scope.allow(self._broker.canonical(revoked.key))
            else:
                scope.allow_search(revoked.client)
            scope.admit_reject()
            key = scope.key or await self._find(revoked, scope.name, call.deadline())
            if key is None:
                return False
            scope.allow(key)
            return await self._broker.reject(key, revoked.sha256, scope.name)

    async def _find(self, revoked: Revocation, caller: str, deadline: float) -> TokenKey | None:
        """Raises WaitTimedOut."""
        try:
            async with asyncio.timeout(deadline), self._searches.turn(caller, deadline):
                listing = await self._broker.list_tokens(
                    revoked.client, 1, lambda token: token.access_token.sha256() == revoked.sha256
                )
        except TimeoutError:
            raise WaitTimedOut(
                "the client's tokens could not be looked through in time",
                remedy="Say what the token is for: send its audience and scope.",
                retry_after=1.0,
            ) from None
        return next((token.key for token in listing.tokens), None)


def _uncounted(_: str) -> None:
    """Used by a server that counts no tokens."""
