"""An issuer that does what a test says, without a network."""

import asyncio
import itertools
from collections.abc import Callable

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import IssuerError, IssuerRefused, IssuerThrottled, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted

# Across all issuers of a test run, so that no two tokens are ever the same.
_numbers = itertools.count(1)


class ScriptedIssuer:
    """Implements core.ports.Issuer.

    Attributes:
        minted_for: the key of each mint, oldest first, failed ones too.
        lifetime: seconds that its tokens live from now on.
        text: of the tokens from now on; None: a new one each time.
        fails: makes the error to raise instead of giving a token.
        gate: what each mint waits for; open unless a test closes it.
        fails_for: mints of audiences that begin so fail; None: no audience.
        hangs_for: mints of audiences that begin so wait for `end_of_hanging`; None: no audience.
        asked: set as soon as a mint has begun.
        credential: what `proof` tells.
    """

    def __init__(self, clock: Clock, lifetime: float = 3600.0) -> None:
        self.minted_for: list[TokenKey] = []
        self.lifetime = lifetime
        self.text: str | None = None
        self.fails: Callable[[], IssuerError] | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.hangs_for: str | None = None
        self.end_of_hanging = asyncio.Event()
        self.fails_for: str | None = None
        self.asked = asyncio.Event()
        self.credential = "first"
        self._clock = clock

    @property
    def mints(self) -> int:
        """How many there were, failed ones too."""
        return len(self.minted_for)

    def proof(self) -> str:
        return self.credential

    async def mint(self, key: TokenKey) -> Minted:
        started_at = self._clock.monotonic()
        self.minted_for.append(key)
        self.asked.set()
        if self.hangs_for is not None and key.audience.startswith(self.hangs_for):
            await self.end_of_hanging.wait()
        await self.gate.wait()
        if self.fails_for is not None and key.audience.startswith(self.fails_for):
            raise unavailable()
        if self.fails is not None:
            raise self.fails()
        text = self.text or f"token-{next(_numbers)}"
        return Minted(Secret(text), "Bearer", self.lifetime, started_at, key.scopes)


def refused() -> IssuerRefused:
    """What a wrong secret leads to."""
    return IssuerRefused("the issuer said no", remedy="Mend it.", retry_after=30.0, issuer_error="invalid_client")


def throttled() -> IssuerThrottled:
    """A 429 without a time."""
    return IssuerThrottled("the issuer limits the rate", remedy="Wait.")


def unavailable() -> IssuerUnavailable:
    """A 5xx without a Retry-After."""
    return IssuerUnavailable("the issuer is in trouble", remedy="Wait.")
