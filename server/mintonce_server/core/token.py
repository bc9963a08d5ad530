"""Tokens, and the arithmetic of their lives. All times are seconds; `…_at` is on this process's monotonic clock."""

import zlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from mintonce_server.core.key import TokenKey
from mintonce_server.core.quota import QuotaWindow
from mintonce_server.core.secret import Secret

MAX_LIFETIME: Final = 30 * 86_400.0
"""A longer `expires_in` is clamped: no store entry outlives this."""

REFRESH_SHARE: Final = 0.10
REFRESH_WINDOW_MAX: Final = 15 * 60.0
REFRESH_JITTER: Final = 0.4
"""A key's refresh starts somewhere in the first 40 % of its window, so that many keys do not refresh at once."""

EXPIRY_MARGIN_SHARE: Final = 0.05
EXPIRY_MARGIN_MAX: Final = 30.0
LIVE_PATIENCE: Final = 1.0
MIN_TTL_SHARE: Final = 0.5
"""More than half of the lifetime is treated as half: otherwise each call would mint."""


class Origin(StrEnum):
    """Where a served token came from."""

    MEMORY = "memory"
    STORE = "store"
    MINT = "mint"


@dataclass(frozen=True, slots=True)
class Minted:
    """What one POST gave.

    Attributes:
        lifetime: seconds from `started_at` to the expiry, clamped to MAX_LIFETIME.
        started_at: when the request was started, on the monotonic clock. A token is never younger than that.
        scopes: what the issuer granted, sorted; what was asked for when it did not say (RFC 6749, section 5.1).
        request_id: what the issuer calls the exchange, "" if it does not say.
        audience: what a JWT says that it is for; () for an opaque token.
        quota: what the issuer said about its quotas.
    """

    access_token: Secret
    token_type: str
    lifetime: float
    started_at: float
    scopes: tuple[str, ...]
    request_id: str = ""
    audience: tuple[str, ...] = ()
    quota: tuple[QuotaWindow, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A token with its place in its key's history.

    Attributes:
        expires_at, refresh_at: on this process's monotonic clock.
        lifetime: seconds between the mint and the expiry.
        expiry_unix: the expiry by the store's clock, seconds since 1970; this host's clock for a provisional token.
        credential_version: of the client's credentials that it was minted with.
        key_hash: the key's name in the store and in logs.
        provisional: minted without the store. `generation` is this replica's own then, and only orders what this
            replica serves, until the store gives the token a number.
        served_as: the generation, most often a provisional one, that the token was served under before, or 0.
        reissued: the issuer handed this very text out again after a rejection: it stands by it.
        audience: see Minted.
    """

    key: TokenKey
    key_hash: str
    generation: int
    access_token: Secret
    token_type: str
    scopes: tuple[str, ...]
    lifetime: float
    expires_at: float
    refresh_at: float
    expiry_unix: float
    credential_version: int
    provisional: bool = False
    served_as: int = 0
    reissued: bool = False
    audience: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        minted: Minted,
        key: TokenKey,
        key_hash: str,
        generation: int,
        credential_version: int,
        unix_minus_monotonic: float,
        *,
        provisional: bool = False,
        reissued: bool = False,
    ) -> "Token":
        """The token that a mint gives. `unix_minus_monotonic`: the store's; of a provisional token, this host's."""
        expires_at = minted.started_at + minted.lifetime
        return cls(
            key=key,
            key_hash=key_hash,
            generation=generation,
            access_token=minted.access_token,
            token_type=minted.token_type,
            scopes=minted.scopes,
            lifetime=minted.lifetime,
            expires_at=expires_at,
            refresh_at=minted.started_at + refresh_after(minted.lifetime, key_hash, generation),
            expiry_unix=expires_at + unix_minus_monotonic,
            credential_version=credential_version,
            provisional=provisional,
            reissued=reissued,
            audience=minted.audience,
        )

    def adopted(self, generation: int, unix_minus_monotonic: float, *, reissued: bool) -> "Token":
        """This token under a new number of the store's. `unix_minus_monotonic`: the store's."""
        return replace(
            self,
            generation=generation,
            expiry_unix=self.expires_at + unix_minus_monotonic,
            provisional=False,
            served_as=self.generation,
            reissued=reissued,
        )

    @property
    def minted_at(self) -> float:
        """When its POST was sent, or earlier."""
        return self.expires_at - self.lifetime

    def remaining(self, now: float) -> float:
        """Seconds left; negative when it is over."""
        return self.expires_at - now

    def is_live(self, now: float) -> bool:
        """Whether a resource server would still take it."""
        return now < self.expires_at

    def has_min_ttl(self, now: float, min_ttl: float = 0.0) -> bool:
        """Whether to serve it without trying for a better one."""
        return self.expires_at - now > wanted(self.lifetime, min_ttl)

    def max_wait(self, now: float, patience: float) -> float:
        """Seconds that a caller who may have this live token waits for a better one. It is not over meanwhile."""
        return min(patience, self.remaining(now) / 2)


def wanted(lifetime: float, min_ttl: float) -> float:
    """How much life a token must have left to be served without trying for a better one."""
    return max(expiry_margin(lifetime), min(min_ttl, MIN_TTL_SHARE * lifetime))


def expiry_margin(lifetime: float) -> float:
    """With less than this left, a token is replaced before it is served."""
    return min(EXPIRY_MARGIN_MAX, EXPIRY_MARGIN_SHARE * lifetime)


def refresh_after(lifetime: float, key_hash: str, generation: int) -> float:
    """Seconds from the mint to the start of the refresh, shifted by the key's jitter; always before the leeway."""
    window = min(REFRESH_WINDOW_MAX, REFRESH_SHARE * lifetime)
    return lifetime - window * (1.0 - REFRESH_JITTER * jitter(key_hash, generation))


def jitter(key_hash: str, generation: int) -> float:
    """In [0, 1); the same on every replica."""
    return zlib.crc32(f"{key_hash}:{generation}".encode()) / 2**32
