"""Between the messages of mintonce.v1 and the values of core."""

from collections.abc import Iterable
from typing import Protocol

from google.protobuf.duration_pb2 import Duration
from mintonce.v1 import admin_pb2, tokens_pb2, types_pb2
from mintonce_server.core.broker import Served
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Origin, Token

_ORIGINS = {
    Origin.MEMORY: types_pb2.ORIGIN_MEMORY,
    Origin.STORE: types_pb2.ORIGIN_STORE,
    Origin.MINT: types_pb2.ORIGIN_MINT,
}


class NamesKey(Protocol):
    """Every request that is about one key."""

    @property
    def client(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def scopes(self) -> Iterable[str]: ...


def key_of(request: NamesKey) -> TokenKey:
    """Raises InvalidRequest."""
    return TokenKey.of(request.client, request.audience, request.scopes)


def min_remaining_of(request: tokens_pb2.GetTokenRequest) -> float:
    """Seconds. Raises InvalidRequest when negative."""
    wish = request.min_remaining
    seconds = wish.seconds + wish.nanos / 1e9
    if seconds < 0:
        raise InvalidRequest("min_remaining is negative", remedy="Send zero or more, or leave it out.")
    return seconds


def rejected_of(request: tokens_pb2.RejectTokenRequest) -> int | bytes:
    """The generation or the SHA-256. Raises InvalidRequest."""
    match request.WhichOneof("rejected"):
        case "generation" if request.generation > 0:
            return request.generation
        case "access_token_sha256" if len(request.access_token_sha256) == 32:
            return request.access_token_sha256
        case _:
            raise InvalidRequest(
                "rejected is missing or malformed",
                remedy="Send the generation of the refused token, or the 32 bytes of the SHA-256 of its text.",
            )


def token_message(served: Served, now: float) -> types_pb2.Token:
    """The answer as of `now` on the monotonic clock."""
    token = served.token
    message = types_pb2.Token(
        access_token=token.access_token.reveal(),
        token_type=token.token_type,
        generation=token.generation,
        origin=_ORIGINS[served.origin],
        degraded=served.degraded,
        scopes=token.scopes,
    )
    _set(message.remaining, token.remaining(now))
    _set(message.refresh_in, token.refresh_at - now)
    message.expire_time.FromMilliseconds(int(token.expiry_unix * 1000))
    return message


def summary_message(token: Token, now: float) -> admin_pb2.TokenSummary:
    """A line of the list, without the text."""
    message = admin_pb2.TokenSummary(
        client=token.key.client,
        audience=token.key.audience,
        scopes=token.key.scopes,
        generation=token.generation,
        key_hash=token.key_hash,
    )
    _set(message.remaining, token.remaining(now))
    _set(message.refresh_in, token.refresh_at - now)
    return message


def _set(message: Duration, seconds: float) -> None:
    """Never negative: what is over or due is zero."""
    whole, part = divmod(max(0.0, seconds), 1.0)
    message.seconds = int(whole)
    message.nanos = int(part * 1e9)
