"""Tokens as callers hold them."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Final

MASK: Final = "[redacted]"


class Origin(StrEnum):
    """Where the server had the token from."""

    UNKNOWN = "unknown"
    MEMORY = "memory"
    STORE = "store"
    MINT = "mint"


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A live access token. Its repr, str and format are masked: only `access_token` and `header` hold the text.

    `expires_at` and `refresh_at` are on this process's monotonic clock, counted from before the call was sent:
    they never come late, whatever this host's wall clock says.

    Attributes:
        access_token: the secret text (RFC 6750).
        token_type: as the issuer named it, normally "Bearer".
        scopes: what the issuer granted, sorted.
        generation: rises with every new token of the key, across the fleet.
        expire_time: the expiry by the store's clock, with time zone; for people, not for arithmetic.
        origin: where the server had it from.
        degraded: live, but less is left than is comfortable: the issuer or the store is in trouble.
        header: the value of an Authorization header.
    """

    access_token: str
    token_type: str
    scopes: tuple[str, ...]
    generation: int
    expires_at: float
    refresh_at: float
    expire_time: datetime
    origin: Origin = Origin.UNKNOWN
    degraded: bool = False
    header: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Resource servers compare the scheme without regard to case (RFC 9110, section 11.1), but not all know that.
        scheme = "Bearer" if self.token_type.lower() in ("", "bearer") else self.token_type
        object.__setattr__(self, "header", f"{scheme} {self.access_token}")

    def expires_in(self) -> float:
        """The remaining lifetime in seconds. Negative after the expiry."""
        return self.expires_at - monotonic()

    def refresh_in(self) -> float:
        """Seconds until the server mints a successor. Negative when it is due."""
        return self.refresh_at - monotonic()

    @property
    def is_live(self) -> bool:
        return monotonic() < self.expires_at

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the text: 32 bytes. Tells tokens apart without showing them."""
        return hashlib.sha256(self.access_token.encode()).digest()

    def __repr__(self) -> str:
        return (
            f"Token(access_token={MASK}, generation={self.generation}, expires_in={self.expires_in():.0f}s, "
            f"scopes={self.scopes!r}, origin={self.origin.value}, degraded={self.degraded})"
        )
