"""Whatever the issuer sends becomes a token or one of our errors."""

import json
import traceback

from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.common.bounded_body import BadBody, decompress
from mintonce_server.core.errors import IssuerError
from mintonce_server.core.token import MAX_LIFETIME, Minted
from mintonce_server.issuer.http import MAX_BODY
from mintonce_server.issuer.response import Answer, read_answer
from support.endpoints import request_context

ASKED = request_context("login.example.com", scopes=("read",), started_at=1.0, now_unix=1.8e9)
CANARY = "c4nary of the body"
"""Holds a space, so that no rule lets it through as a token or as a code."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["access_token", "token_type", "expires_in", "scope", "error", "error_description"])
LIKELY = st.sampled_from(["Bearer", "a.b.c", 3600, "3600", "read", "invalid_client"])
OBJECTS = st.dictionaries(NAMES, JSON | LIKELY).map(lambda fields: json.dumps(fields).encode())
BODIES = st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | OBJECTS
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "date"]), st.text() | st.just("Wed, 21 Oct 2015 07:28:20 GMT")
)
STATUSES = st.sampled_from([200, 200, 200, 201, 400, 401, 429, 503]) | st.integers(0, 999)


@given(status=STATUSES, headers=HEADERS, body=BODIES)
def test_any_answer_is_a_token_or_an_issuer_error(status: int, headers: dict[str, str], body: bytes) -> None:
    """Never another exception; a token's fields always keep their promises; an error never repeats the body."""
    outcome = read_or_error(Answer(status, headers, body))
    if isinstance(outcome, IssuerError):
        assert CANARY not in "".join(traceback.format_exception(outcome)) + outcome.remedy + outcome.issuer_error
        assert outcome.retry_after is None or 1.0 <= outcome.retry_after <= 300.0
    else:
        assert status in (200, 201)
        assert outcome.access_token.reveal().isascii()
        assert outcome.access_token.reveal().isprintable()
        assert 0.0 <= outcome.lifetime <= MAX_LIFETIME
        assert outcome.token_type == "Bearer"


def read_or_error(answer: Answer) -> Minted | IssuerError:
    try:
        return read_answer(answer, ASKED)
    except IssuerError as error:
        return error


@given(
    encoding=st.sampled_from(["gzip", "deflate", "identity", "br", "gzip, gzip", ""]) | st.text(), packed=st.binary()
)
def test_any_compressed_body_is_decompressed_or_bad(encoding: str, packed: bytes) -> None:
    """Never another exception, and never more than the limit."""
    try:
        assert len(decompress(encoding, packed, MAX_BODY)) <= MAX_BODY
    except BadBody:
        pass  # the other answer that is allowed
