"""The content of a record, as bytes and as values. A record that cannot be read counts as missing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeGuard, cast

from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.core.text import are_granted, is_token, is_token_type
from mintonce_server.core.token import MAX_LIFETIME, Token

VERSION: Final = 2
FIELDS: Final = ("f", "exp", "cv", "payload")
"""The fields of a record's hash that a reader needs, in the order of `Row.read`."""

_MAX_LIFETIME_MS: Final = int(MAX_LIFETIME * 1000)
_DIGITS_MAX: Final = 16
"""The digits that a Lua number can hold without loss."""
_REWRITTEN: Final = "its unsealed expiry or credential version differs from the sealed one"


class Open(Protocol):
    """Opens sealed payloads."""

    def __call__(self, sealed: bytes, key_hash: str, generation: int, /) -> bytes | None:
        """The payload's text, or None with an alarm if it cannot be opened."""
        ...

    def alarm(self, key_hash: str, why: str) -> None:
        """Report a record that can be opened but is inconsistent."""
        ...


@dataclass(frozen=True, slots=True)
class Payload:
    """The sealed part of a record. Times are ms; `expiry` and `refresh` are on the store's clock since 1970."""

    key: TokenKey
    access_token: Secret
    token_type: str
    granted: tuple[str, ...]
    audience: tuple[str, ...]
    expiry: int
    refresh: int
    lifetime: int
    credential_version: int
    served_as: int
    reissued: bool

    @classmethod
    def of(cls, token: Token) -> "Payload":
        """The sealed part of a token with a generation."""
        expiry = _ms(token.expiry_unix)
        return cls(
            key=token.key,
            access_token=token.access_token,
            token_type=token.token_type,
            granted=token.scopes,
            audience=token.audience,
            expiry=expiry,
            refresh=expiry - _ms(token.expires_at - token.refresh_at),
            lifetime=_ms(token.lifetime),
            credential_version=token.credential_version,
            served_as=token.served_as,
            reissued=token.reissued,
        )

    def token(self, key_hash: str, asked_at: float, generation: int, remaining: int, expiry: int) -> Token:
        """The token of a record that was requested at this time. See Row for `remaining` and `expiry`."""
        # Counted from the moment before the request was sent: never longer than the true lifetime.
        expires_at = asked_at + remaining / 1000
        return Token(
            key=self.key,
            key_hash=key_hash,
            generation=generation,
            access_token=self.access_token,
            token_type=self.token_type,
            scopes=self.granted,
            lifetime=self.lifetime / 1000,
            expires_at=expires_at,
            refresh_at=expires_at - (self.expiry - self.refresh) / 1000,
            expiry_unix=expiry / 1000,
            credential_version=self.credential_version,
            served_as=self.served_as,
            reissued=self.reissued,
            audience=self.audience,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A record as read. Times are in ms: `remaining` counts from the read, `expiry` is on the store's clock since 1970.

    All fields but the payload are unsealed, for the scripts. They are only trusted if the payload agrees.
    """

    generation: int
    remaining: int
    expiry: int
    credential_version: int
    payload: bytes

    @classmethod
    def of(cls, reply: object) -> "Row | None":
        """From a row in a script's reply."""
        match reply:
            case [int(f), int(remaining), int(expiry), int(cv), bytes(payload)]:
                return cls(f, remaining, expiry, cv, payload)
            case _:
                return None

    @staticmethod
    def generation_in(fields: object) -> object:
        """The first of FIELDS, as the server sent it."""
        return cast(list[object], fields)[0]

    @classmethod
    def read(cls, fields: object, ttl: int, store_now: int) -> "Row | None":
        """From the FIELDS of a hash, its key's TTL and the server's time in ms. None if there is no record."""
        *numbers, payload = cast(list[object], fields)
        if numbers[0] is None:
            return None
        f, expiry, cv = map(number_in, numbers)
        remaining = min(ttl, expiry - store_now)
        if remaining <= 0:
            return None
        return cls(f, remaining, expiry, cv, payload if isinstance(payload, bytes) else b"")

    def token(self, key: TokenKey, key_hash: str, asked_at: float, opening: Open) -> Token | None:
        """The key's token. None if the record cannot be read or belongs to another key."""
        payload = self._opened(key_hash, opening)
        return self._token(payload, key_hash, asked_at) if payload and payload.key == key else None

    def named(self, hasher: KeyHasher, key_hash: str, asked_at: float, opening: Open) -> Token | None:
        """The token of the key with this hash."""
        payload = self._opened(key_hash, opening)
        return self._token(payload, key_hash, asked_at) if payload and hasher(payload.key) == key_hash else None

    def _opened(self, key_hash: str, opening: Open) -> Payload | None:
        text = opening(self.payload, key_hash, self.generation)
        payload = None if text is None else decode(text)
        if payload is not None and not self._fits(payload):
            opening.alarm(key_hash, _REWRITTEN)
            return None
        return payload

    def _fits(self, payload: Payload) -> bool:
        """Whether a commit can have written these fields with this payload. It can only shorten the lifetime."""
        sound = self.generation > 0 and 0 < self.remaining <= payload.lifetime <= _MAX_LIFETIME_MS
        ordered = 0 <= payload.expiry - payload.refresh <= _MAX_LIFETIME_MS
        return (
            sound
            and ordered
            and self.expiry <= payload.expiry
            and self.credential_version == payload.credential_version
        )

    def _token(self, payload: Payload, key_hash: str, asked_at: float) -> Token:
        return payload.token(key_hash, asked_at, self.generation, self.remaining, self.expiry)


def number_in(field: object) -> int:
    """The whole number in a record's field; 0 for anything else."""
    return int(field) if isinstance(field, bytes) and field.isdigit() and len(field) <= _DIGITS_MAX else 0


def encode(token: Token) -> str:
    """The payload's text. It contains the key itself, so that a record under a wrong name is detected."""
    payload = Payload.of(token)
    return json.dumps(
        {
            "v": VERSION,
            "client": payload.key.client,
            "audience": payload.key.audience,
            "scopes": payload.key.scopes,
            "token": payload.access_token.reveal(),
            "type": payload.token_type,
            "granted": payload.granted,
            "granted_audience": payload.audience,
            "expiry": payload.expiry,
            "refresh": payload.refresh,
            "lifetime": payload.lifetime,
            "credential_version": payload.credential_version,
            "served_as": payload.served_as,
            "reissued": payload.reissued,
        },
        separators=(",", ":"),
    )


def decode(text: bytes) -> Payload | None:
    """None for anything but a payload of this version: another release may have written it."""
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):  # the latter for very deep nesting
        return None
    if not _is_object(document) or document.get("v") != VERSION:
        return None
    match document:
        case {
            "client": str(client),
            "audience": str(audience),
            "scopes": scopes,
            "token": str(token),
            "type": str(token_type),
            "granted": granted,
            "granted_audience": granted_audience,
            "expiry": int(expiry),
            "refresh": int(refresh),
            "lifetime": int(lifetime),
            "credential_version": int(version),
            "served_as": int(served_as),
            "reissued": bool(reissued),
        } if _are_strings(scopes) and _are_strings(granted) and _are_strings(granted_audience):
            try:
                key = TokenKey.of(client, audience, scopes)
            except InvalidRequest:
                return None
            if not (is_token(token) and is_token_type(token_type) and are_granted(granted, granted_audience)):
                return None  # these texts go to callers and terminals, and the default sealing key is public
            grant = tuple(granted), tuple(granted_audience)
            times = expiry, refresh, lifetime
            return Payload(key, Secret(token), token_type, *grant, *times, version, served_as, reissued)
        case _:
            return None


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _are_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast(list[object], value))
