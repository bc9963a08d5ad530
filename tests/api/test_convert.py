"""Between messages and values: what a hot GetToken relies on."""

from collections.abc import Iterable

import pytest
from google.protobuf.duration_pb2 import Duration

from mintonce.v1 import tokens_pb2, types_pb2
from mintonce_server.api.convert import key_of, min_ttl_of, token_message
from mintonce_server.core.broker import Served
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted, Origin, Token

KEY = TokenKey.of("billing", "https://api.example.com/", ["read"])
MINTED = Minted(Secret("text"), "Bearer", lifetime=100.0, started_at=1000.0, scopes=("read",))
TOKEN = Token.of(MINTED, KEY, "hash", generation=7, credential_version=1, unix_minus_monotonic=0.25)


def request(
    client: str = "", audience: str = "", scopes: Iterable[str] = (), min_ttl: Duration | None = None
) -> tokens_pb2.GetTokenRequest:
    key = types_pb2.TokenKey(client=client, audience=audience, scopes=scopes)
    return tokens_pb2.GetTokenRequest(key=key, min_ttl=min_ttl)


def test_a_remembered_key_is_that_of_the_request() -> None:
    """Asked twice, each client, audience and scopes gives its own key."""
    for _ in range(2):
        assert key_of(request(client="billing", audience="a", scopes=["x", "y", "x"])) == TokenKey.of(
            "billing", "a", ["y", "x"]
        )
        assert key_of(request(client="billing", audience="a", scopes=["x"])) == TokenKey.of("billing", "a", ["x"])
        assert key_of(request(client="a", audience="billing")) == TokenKey.of("a", "billing")


def test_a_malformed_key_is_refused_each_time() -> None:
    """What is remembered are keys, never that something was let through."""
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            key_of(request(client="billing", audience="two  spaces"))


@pytest.mark.parametrize(
    ("wish", "seconds"), [(None, 0.0), (Duration(), 0.0), (Duration(seconds=2, nanos=500_000_000), 2.5)]
)
def test_min_ttl_left_out_is_none(wish: Duration | None, seconds: float) -> None:
    """No wish, and a wish for nothing, are the same."""
    assert min_ttl_of(request(min_ttl=wish)) == seconds


def test_negative_min_ttl_is_refused() -> None:
    """A negative duration is a caller's mistake."""
    with pytest.raises(InvalidRequest):
        min_ttl_of(request(min_ttl=Duration(nanos=-1)))


def test_an_answer_has_durations_as_of_now() -> None:
    """What is left counts from the moment of the answer; the expiry is a time, to the millisecond."""
    message = token_message(Served(TOKEN, Origin.MEMORY), now=1060.5)
    assert (message.expires_in.seconds, message.expires_in.nanos) == (39, 500_000_000)
    assert message.expire_time.ToMilliseconds() == 1_100_250
    assert message.origin == types_pb2.ORIGIN_MEMORY


def test_an_answer_has_no_negative_durations() -> None:
    """A successor that is overdue, and a life that is over, are zero."""
    message = token_message(Served(TOKEN, Origin.STORE, degraded=True), now=1100.5)
    assert message.expires_in == message.refresh_in == Duration()
    assert message.degraded


def test_an_answer_written_in_place_is_the_same() -> None:
    """`into` saves a copy and changes nothing."""
    served = Served(TOKEN, Origin.MINT)
    response = tokens_pb2.GetTokenResponse()
    token_message(served, 1001.0, into=response.token)
    assert response.token == token_message(served, 1001.0)
