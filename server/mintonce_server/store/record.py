"""What a record holds, as text and as values. Whatever cannot be read counts as no record."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeGuard, cast

from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import MAX_LIFETIME, Token

VERSION: Final = 1
FIELDS: Final = ("f", "exp", "refresh", "life", "cv", "payload")
"""What a reader wants of a record's hash, in the order of `Row.read`."""

_MAX_LIFETIME_MS: Final = int(MAX_LIFETIME * 1000)
_DIGITS_MAX: Final = 16
"""As many as a Lua number can hold without loss."""

Open = Callable[[bytes, str, int], bytes | None]
"""From what is sealed, the key's hash and the generation to the payload's text."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The part of a record that says whose it is and holds the token."""

    key: TokenKey
    access_token: Secret
    token_type: str
    granted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A record as read. Times are in ms: two counted from the read, `expiry` by the store's clock since 1970."""

    generation: int
    remaining: int
    refresh_in: int
    expiry: int
    lifetime: int
    credential_version: int
    payload: bytes

    @classmethod
    def of(cls, reply: object) -> "Row | None":
        """From a script's row."""
        match reply:
            case [int(f), int(remaining), int(refresh_in), int(expiry), int(lifetime), int(cv), bytes(payload)]:
                return _doubted(cls(f, remaining, refresh_in, expiry, lifetime, cv, payload))
            case _:
                return None

    @staticmethod
    def generation_in(fields: object) -> object:
        """FIELDS' first, as the server sent it."""
        return cast(list[object], fields)[0]

    @classmethod
    def read(cls, fields: object, remaining: int) -> "Row | None":
        """From FIELDS of a hash and its key's TTL. None if there is no record."""
        *numbers, payload = cast(list[object], fields)
        if numbers[0] is None or remaining <= 0:
            return None
        f, expiry, refresh, life, cv = map(number_in, numbers)
        sealed = payload if isinstance(payload, bytes) else b""
        return _doubted(cls(f, remaining, refresh - (expiry - remaining), expiry, life, cv, sealed))

    def token(self, key: TokenKey, key_hash: str, asked_at: float, opening: Open) -> Token | None:
        """The key's token. None if the record cannot be read, or is another key's."""
        payload = self._opened(key_hash, opening)
        return self._token(payload, key_hash, asked_at) if payload and payload.key == key else None

    def named(self, hasher: KeyHasher, key_hash: str, asked_at: float, opening: Open) -> Token | None:
        """The token, of whichever key has this hash."""
        payload = self._opened(key_hash, opening)
        return self._token(payload, key_hash, asked_at) if payload and hasher(payload.key) == key_hash else None

    def _opened(self, key_hash: str, opening: Open) -> Payload | None:
        text = opening(self.payload, key_hash, self.generation)
        return None if text is None else decode(text)

    def _token(self, payload: Payload, key_hash: str, asked_at: float) -> Token:
        # Anchored to the moment before the question was sent: never longer-lived than the truth.
        return Token(
            key=payload.key,
            key_hash=key_hash,
            generation=self.generation,
            access_token=payload.access_token,
            token_type=payload.token_type,
            scopes=payload.granted,
            lifetime=self.lifetime / 1000,
            expires_at=asked_at + self.remaining / 1000,
            refresh_at=asked_at + self.refresh_in / 1000,
            expiry_unix=self.expiry / 1000,
            credential_version=self.credential_version,
        )


def number_in(field: object) -> int:
    """A field of a record that holds a whole number; 0 for what somebody else wrote there."""
    return int(field) if isinstance(field, bytes) and field.isdigit() and len(field) <= _DIGITS_MAX else 0


def _doubted(row: Row) -> Row:
    """The row; without its payload, so that it opens for nobody, if no commit can have written these numbers."""
    sound = row.generation > 0 and 0 < row.remaining <= row.lifetime <= _MAX_LIFETIME_MS
    return row if sound and -_MAX_LIFETIME_MS <= row.refresh_in <= row.remaining else replace(row, payload=b"")


def encode(token: Token) -> str:
    """The payload's text. It carries the key's own names, so that a record under a wrong name is noticed."""
    return json.dumps(
        {
            "v": VERSION,
            "client": token.key.client,
            "audience": token.key.audience,
            "scopes": token.key.scopes,
            "token": token.access_token.reveal(),
            "type": token.token_type,
            "granted": token.scopes,
        },
        separators=(",", ":"),
    )


def decode(text: bytes) -> Payload | None:
    """None for anything but this version's payload: another release may have written it."""
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):  # the latter for what is nested without end
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
        } if _are_strings(scopes) and _are_strings(granted):
            try:
                key = TokenKey.of(client, audience, scopes)
            except InvalidRequest:
                return None
            return Payload(key, Secret(token), token_type, tuple(granted))
        case _:
            return None


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _are_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast(list[object], value))
