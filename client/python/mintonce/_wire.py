"""Between the messages of mintonce.v1 and our values."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration

from mintonce import _sendable
from mintonce.token import Origin, Token
from mintonce.v1 import admin_pb2, tokens_pb2, types_pb2

_ORIGINS: Final = {
    types_pb2.ORIGIN_MEMORY: Origin.MEMORY,
    types_pb2.ORIGIN_STORE: Origin.STORE,
    types_pb2.ORIGIN_MINT: Origin.MINT,
}


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """A live token without its text. `remaining` and `refresh_in` in seconds, as of the answer."""

    client: str
    audience: str
    scopes: tuple[str, ...]
    generation: int
    remaining: float
    refresh_in: float
    key_hash: str


@dataclass(frozen=True, slots=True)
class TokenList:
    """The live tokens of the store; `truncated` when there are more."""

    tokens: tuple[TokenSummary, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Rotation:
    """The generations before (0: none) and after a rotation."""

    previous_generation: int
    generation: int


def scopes_of(scopes: Iterable[str]) -> list[str]:
    """A single string is read as RFC 6749, section 3.3, writes scopes: with spaces between them."""
    return scopes.split() if isinstance(scopes, str) else list(scopes)


def get_request(
    client: str, audience: str, scopes: Iterable[str], min_remaining: float | timedelta | None
) -> tokens_pb2.GetTokenRequest:
    """This and the others raise Refused for what no message can hold."""
    client, audience, scopes = _key(client, audience, scopes)
    request = tokens_pb2.GetTokenRequest(client=client, audience=audience, scopes=scopes)
    if min_remaining is not None:
        request.min_remaining.FromTimedelta(_sendable.span("min_remaining", min_remaining))
    return request


def watch_request(client: str, audience: str, scopes: Iterable[str]) -> tokens_pb2.WatchTokenRequest:
    client, audience, scopes = _key(client, audience, scopes)
    return tokens_pb2.WatchTokenRequest(client=client, audience=audience, scopes=scopes)


def reject_request(
    client: str, audience: str, scopes: Iterable[str], generation: int | None, fingerprint: bytes | None
) -> tokens_pb2.RejectTokenRequest:
    """By generation where it is known, otherwise by the SHA-256 of the text."""
    client, audience, scopes = _key(client, audience, scopes)
    request = tokens_pb2.RejectTokenRequest(client=client, audience=audience, scopes=scopes)
    if generation is not None:
        request.generation = _sendable.whole("generation", generation, _sendable.LARGEST_GENERATION)
    elif fingerprint is not None:
        request.access_token_sha256 = fingerprint
    else:
        raise ValueError("reject() needs generation= or token=")
    return request


def list_request(client: str, limit: int) -> admin_pb2.ListTokensRequest:
    return admin_pb2.ListTokensRequest(
        client=_sendable.text("client", client), page_size=_sendable.whole("limit", limit, _sendable.LARGEST_LIMIT)
    )


def rotate_request(client: str, audience: str, scopes: Iterable[str]) -> admin_pb2.RotateTokenRequest:
    client, audience, scopes = _key(client, audience, scopes)
    return admin_pb2.RotateTokenRequest(client=client, audience=audience, scopes=scopes)


def _key(client: str, audience: str, scopes: Iterable[str]) -> tuple[str, str, list[str]]:
    each = [_sendable.text("scope", scope) for scope in scopes_of(scopes)]
    return _sendable.text("client", client), _sendable.text("audience", audience), each


def token_of(message: types_pb2.Token, anchor: float) -> Token:
    """`anchor` is on the monotonic clock: when the call was sent, or for a pushed successor when it came."""
    return Token(
        access_token=message.access_token,
        token_type=message.token_type,
        scopes=tuple(message.scopes),
        generation=message.generation,
        expires_at=anchor + seconds(message.remaining),
        refresh_at=anchor + seconds(message.refresh_in),
        expire_time=message.expire_time.ToDatetime(UTC),
        origin=_ORIGINS.get(message.origin, Origin.UNKNOWN),
        degraded=message.degraded,
    )


def list_of(response: admin_pb2.ListTokensResponse) -> TokenList:
    return TokenList(tuple(map(_summary_of, response.tokens)), response.truncated)


def rotation_of(response: admin_pb2.RotateTokenResponse) -> Rotation:
    return Rotation(response.previous_generation, response.generation)


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _summary_of(message: admin_pb2.TokenSummary) -> TokenSummary:
    return TokenSummary(
        client=message.client,
        audience=message.audience,
        scopes=tuple(message.scopes),
        generation=message.generation,
        remaining=seconds(message.remaining),
        refresh_in=seconds(message.refresh_in),
        key_hash=message.key_hash,
    )
