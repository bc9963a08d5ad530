"""Between the messages of mintonce.v1 and our values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mintonce import _sendable
from mintonce.errors import MintonceError
from mintonce.token import Origin, Token
from mintonce.v1 import admin_pb2, tokens_pb2, types_pb2

_ORIGINS: Final = {
    types_pb2.ORIGIN_MEMORY: Origin.MEMORY,
    types_pb2.ORIGIN_STORE: Origin.STORE,
    types_pb2.ORIGIN_MINT: Origin.MINT,
}

_TEXT: Final = re.compile("[!-~]+")
"""Visible ASCII, of which the tokens of RFC 6750, section 2.1, are made."""
_TYPE: Final = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]*")
"""A token of RFC 9110, section 5.6.2. An empty one counts as Bearer."""


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """A live token without its text. `expires_in` and `refresh_in` in seconds, as of the answer."""

    client: str
    audience: str
    scopes: tuple[str, ...]
    generation: int
    expires_in: float
    refresh_in: float
    key_hash: str


@dataclass(frozen=True, slots=True)
class TokenPage:
    """A page of a list of live tokens, sorted by client, audience and scopes.

    Attributes:
        next_page_token: pass it to `list_tokens` for the next page; "" on the last one.
        incomplete: a part of the store could not be reached, and its tokens are missing.
    """

    tokens: tuple[TokenSummary, ...]
    next_page_token: str = ""
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Rotation:
    """The generations before (0: none) and after a rotation."""

    previous_generation: int
    generation: int


def scopes_of(scopes: Iterable[str]) -> list[str]:
    """A single string is read as RFC 6749, section 3.3, writes scopes: with spaces between them."""
    return scopes.split() if isinstance(scopes, str) else list(scopes)


def get_request(
    client: str, audience: str, scopes: Iterable[str], min_ttl: float | timedelta | None
) -> tokens_pb2.GetTokenRequest:
    """This and the others raise Refused for values that no message can hold."""
    request = tokens_pb2.GetTokenRequest(key=_key(client, audience, scopes))
    if min_ttl is not None:
        request.min_ttl.FromTimedelta(_sendable.span("min_ttl", min_ttl))
    return request


def watch_request(client: str, audience: str, scopes: Iterable[str]) -> tokens_pb2.WatchTokenRequest:
    return tokens_pb2.WatchTokenRequest(key=_key(client, audience, scopes))


def reject_request(
    client: str, audience: str, scopes: Iterable[str], generation: int | None, fingerprint: bytes | None
) -> tokens_pb2.RejectTokenRequest:
    """By the generation if it is known, otherwise by the SHA-256 of the text."""
    request = tokens_pb2.RejectTokenRequest(key=_key(client, audience, scopes))
    if generation is not None:
        request.generation = _sendable.whole("generation", generation, _sendable.LARGEST_GENERATION)
    elif fingerprint is not None:
        request.access_token_sha256 = fingerprint
    else:
        raise ValueError("reject() needs generation= or token= or fingerprint=")
    return request


def list_request(client: str, page_size: int, page_token: str) -> admin_pb2.ListTokensRequest:
    return admin_pb2.ListTokensRequest(
        client=_sendable.text("client", client),
        page_size=_sendable.whole("page_size", page_size, _sendable.LARGEST_PAGE_SIZE),
        page_token=_sendable.text("page_token", page_token),
    )


def rotate_request(client: str, audience: str, scopes: Iterable[str]) -> admin_pb2.RotateTokenRequest:
    return admin_pb2.RotateTokenRequest(key=_key(client, audience, scopes))


def _key(client: str, audience: str, scopes: Iterable[str]) -> types_pb2.TokenKey:
    return types_pb2.TokenKey(
        client=_sendable.text("client", client),
        audience=_sendable.text("audience", audience),
        scopes=[_sendable.text("scope", scope) for scope in scopes_of(scopes)],
    )


def token_of(message: types_pb2.Token, anchor: float) -> Token:
    """`anchor` is on the monotonic clock: when the call was sent, or for a pushed successor when it came.

    Raises MintonceError for a token that no Authorization header can hold.
    """
    if not (_TEXT.fullmatch(message.access_token) and _TYPE.fullmatch(message.token_type)):
        raise MintonceError(
            "the server sent a token that no header can hold",
            remedy="Is this target a mintonced, of a version that fits this client?",
        )
    return Token(
        access_token=message.access_token,
        token_type=message.token_type,
        scopes=tuple(message.scopes),
        generation=message.generation,
        expires_at=anchor + seconds(message.expires_in),
        refresh_at=anchor + seconds(message.refresh_in),
        expire_time=_time_of(message.expire_time),
        origin=_ORIGINS.get(message.origin, Origin.UNKNOWN),
        degraded=message.degraded,
    )


def page_of(response: admin_pb2.ListTokensResponse) -> TokenPage:
    return TokenPage(tuple(map(_summary_of, response.tokens)), response.next_page_token, response.incomplete)


def rotation_of(response: admin_pb2.RotateTokenResponse) -> Rotation:
    return Rotation(response.previous_generation, response.generation)


_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _time_of(timestamp: Timestamp) -> datetime:
    """The nearest time that a datetime can hold. It is for people alone, so an absurd one is no error."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        return _LAST if timestamp.seconds > 0 else _FIRST


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _summary_of(message: admin_pb2.TokenSummary) -> TokenSummary:
    return TokenSummary(
        client=message.key.client,
        audience=message.key.audience,
        scopes=tuple(message.key.scopes),
        generation=message.generation,
        expires_in=seconds(message.expires_in),
        refresh_in=seconds(message.refresh_in),
        key_hash=message.key_hash,
    )
