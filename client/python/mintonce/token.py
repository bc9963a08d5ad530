"""Tokens as callers hold them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Final, Never, Self

MASK: Final = "[redacted]"


class Origin(StrEnum):
    """Where the server had the token from."""

    UNKNOWN = "unknown"
    MEMORY = "memory"
    STORE = "store"
    MINT = "mint"


class _Texts:
    """Has the text and the header in a function. Nothing that prints fields or slots looks into one."""

    __slots__ = ("_texts",)

    _texts: Callable[[], tuple[str, str]]


@dataclass(frozen=True, slots=True, repr=False, eq=False, init=False)
class Token(_Texts):
    """A live access token. It does not change.

    Only `access_token` and `header` give the text. The repr, str and format are masked, `dataclasses.asdict` leaves the
    text out, and a token cannot be pickled.

    `expires_at` and `refresh_at` are on this process's monotonic clock, counted from before the call was sent:
    they never come late, whatever this host's wall clock says.

    Attributes:
        token_type: as the issuer named it, normally "Bearer".
        scopes: what the issuer granted, sorted.
        generation: rises with every new token of the key, across the fleet.
        expire_time: the expiry by the store's clock, with time zone; for people, not for arithmetic.
        origin: where the server had it from.
        degraded: live, but less is left than is comfortable: the issuer or the store is in trouble.
    """

    token_type: str
    scopes: tuple[str, ...]
    generation: int
    expires_at: float
    refresh_at: float
    expire_time: datetime
    origin: Origin = Origin.UNKNOWN
    degraded: bool = False

    def __init__(
        self,
        access_token: str,
        token_type: str,
        scopes: tuple[str, ...],
        generation: int,
        expires_at: float,
        refresh_at: float,
        expire_time: datetime,
        origin: Origin = Origin.UNKNOWN,
        degraded: bool = False,
    ) -> None:
        # Resource servers compare the scheme without regard to case (RFC 9110, section 11.1), but not all know that.
        scheme = "Bearer" if token_type.lower() in ("", "bearer") else token_type
        texts = access_token, f"{scheme} {access_token}"
        values = (token_type, scopes, generation, expires_at, refresh_at, expire_time, origin, degraded)
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)
        object.__setattr__(self, "_texts", lambda: texts)

    @property
    def access_token(self) -> str:
        """The secret text (RFC 6750)."""
        return self._texts()[0]

    @property
    def header(self) -> str:
        """The value of an Authorization header, "Bearer …". As secret as the text."""
        return self._texts()[1]

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def _values(self) -> tuple[object, ...]:
        return (self.access_token, *(getattr(self, field.name) for field in fields(self)))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError("a Token is not pickled: its text would be in clear. Each process has a TokenSource of its own")

    def __repr__(self) -> str:
        return (
            f"Token(access_token={MASK}, generation={self.generation}, expires_in={self.expires_in():.0f}s, "
            f"scopes={self.scopes!r}, origin={self.origin.value}, degraded={self.degraded})"
        )
