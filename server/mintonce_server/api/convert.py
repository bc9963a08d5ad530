"""Between the messages of mintonce.v1 and the values of core."""

from functools import lru_cache
from typing import Final, Protocol

from google.protobuf.duration_pb2 import Duration

from mintonce.v1 import admin_pb2, tokens_pb2, types_pb2
from mintonce_server.core.broker import Served
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Origin, Token

CACHED_KEYS: Final = 1024
"""Callers ask for the same few keys. A key has at most 18 kB, so the cache stays below 18 MB."""

_ORIGINS = {
    Origin.MEMORY: types_pb2.ORIGIN_MEMORY,
    Origin.STORE: types_pb2.ORIGIN_STORE,
    Origin.MINT: types_pb2.ORIGIN_MINT,
}


class HasKey(Protocol):
    """A request about one key."""

    @property
    def key(self) -> types_pb2.TokenKey: ...


def key_of(request: HasKey) -> TokenKey:
    """Raises InvalidRequest."""
    key = request.key
    # A set, because a request may repeat a scope a thousand times, and cache entries must be small.
    return _cached_key(key.client, key.audience, frozenset(key.scopes))


@lru_cache(maxsize=CACHED_KEYS)
def _cached_key(client: str, audience: str, scopes: frozenset[str]) -> TokenKey:
    """Validating and sorting takes more than twice as long as this look-up, in every hot GetToken."""
    return TokenKey.of(client, audience, scopes)


def min_ttl_of(request: tokens_pb2.GetTokenRequest) -> float:
    """Seconds. Raises InvalidRequest when negative."""
    if not request.HasField("min_ttl"):
        return 0.0
    seconds = request.min_ttl.seconds + request.min_ttl.nanos / 1e9
    if seconds < 0:
        raise InvalidRequest("min_ttl is negative", remedy="Send zero or more, or leave it out.")
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


def token_message(served: Served, now: float, into: types_pb2.Token | None = None) -> types_pb2.Token:
    """The answer as of `now` on the monotonic clock.

    `into`: the empty message of a response to fill. A new message would be copied when it is put into a response.
    """
    token, message = served.token, types_pb2.Token() if into is None else into
    message.access_token = token.access_token.reveal()
    message.token_type = token.token_type
    message.generation = token.generation
    message.origin = _ORIGINS[served.origin]
    message.degraded = served.degraded
    message.scopes.extend(token.scopes)
    _set_duration(message.expires_in, token.remaining(now))
    _set_duration(message.refresh_in, token.refresh_at - now)
    message.expire_time.FromMilliseconds(int(token.expiry_unix * 1000))
    return message


def summary_message(token: Token, now: float) -> admin_pb2.TokenSummary:
    """An entry of a list, without the token's text."""
    key = types_pb2.TokenKey(client=token.key.client, audience=token.key.audience, scopes=token.key.scopes)
    message = admin_pb2.TokenSummary(key=key, generation=token.generation, key_hash=token.key_hash)
    _set_duration(message.expires_in, token.remaining(now))
    _set_duration(message.refresh_in, token.refresh_at - now)
    return message


def _set_duration(message: Duration, seconds: float) -> None:
    """Never negative: a time in the past counts as zero."""
    message.seconds = whole = max(0, int(seconds))
    message.nanos = max(0, int((seconds - whole) * 1e9))
