"""What the issuer granted, from its answer and from a JWT."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.errors import IssuerMalformed, Reason
from mintonce_server.core.text import MAX_GRANTED_SCOPES
from mintonce_server.core.token import Minted
from mintonce_server.issuer.response import (
    Answer,
    AudienceCheck,
    Grant,
    WrongAudience,
    claims_of,
    read_answer,
    read_grant,
)
from support.endpoints import request_context

AUDIENCE = "https://api.example.com/"
NOT_JSON = base64.urlsafe_b64encode(b"\xff{").decode()


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(**claims: object) -> str:
    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


def read(token: str, scope: object = None, check: AudienceCheck = "warn", audience: str = AUDIENCE) -> Minted:
    body = {"access_token": token, "expires_in": 60} | ({} if scope is None else {"scope": scope})
    asked = request_context(
        "login.example.com", ("asked",), 0.0, 0.0, audiences=(audience,) if audience else (), audience_check=check
    )
    return read_answer(Answer(200, {}, json.dumps(body).encode()), asked)


@pytest.mark.parametrize(
    ("token", "answered", "granted"),
    [
        ("opaque", None, ("asked",)),
        (jwt(sub="a"), None, ("asked",)),
        ("opaque", "one two", ("one", "two")),
        (jwt(scope="two one"), None, ("one", "two")),
        (jwt(scope=["one", "two"]), None, ("one", "two")),
        (jwt(scp=["one", "two"]), None, ("one", "two")),
        (jwt(scp="one two"), None, ("one", "two")),
        (jwt(scope=""), None, ()),
        (jwt(scope=7), None, ("asked",)),
        (jwt(scope="one two"), "one", ("one", "two")),
    ],
)
def test_what_was_granted(token: str, answered: object, granted: tuple[str, ...]) -> None:
    """The scopes in the answer and in the JWT, which its resource server relies on; else the requested ones."""
    assert read(token, answered).scopes == granted


@pytest.mark.parametrize(
    ("aud", "granted"),
    [(AUDIENCE, (AUDIENCE,)), ([AUDIENCE, "b"], (AUDIENCE, "b")), (None, ()), (5, ()), ([5, "b"], ("b",))],
)
def test_the_audience_that_a_jwt_names_is_kept(aud: object, granted: tuple[str, ...]) -> None:
    """One string or several (RFC 7519, section 4.1.3)."""
    assert read(jwt(aud=aud)).audience == granted


def test_names_are_printable_and_bounded() -> None:
    """They go to logs and terminals."""
    minted = read(jwt(aud=["\x1b[2Jx", "a" * 5000]), "ok \x1b]0;x\x07")
    assert minted.scopes == ("\\x1b]0;x\\x07", "ok")
    assert minted.audience[0] == "\\x1b[2Jx"
    assert len(minted.audience[1]) == 1024


@pytest.mark.parametrize("scope", [" ".join(map(str, range(MAX_GRANTED_SCOPES + 1))), "x" * 257, "\x07" * 100])
def test_a_grant_that_cannot_be_checked_is_refused(scope: str) -> None:
    """If it were truncated, the rest would be handed out unchecked."""
    with pytest.raises(IssuerMalformed, match="grants more"):
        read("opaque", scope)


@pytest.mark.parametrize("aud", ["https://other.example.com/", [], None, [AUDIENCE.upper()]])
def test_a_jwt_for_another_audience_is_refused_where_the_issuer_is_set_so(aud: object) -> None:
    """With a pause for the whole fleet, because a repetition gives the same. Callers do not learn the audience."""
    with pytest.raises(WrongAudience) as caught:
        read(jwt(aud=aud, scope="one"), check="refuse")
    error = caught.value
    assert (error.reason, error.retry_after) == (Reason.ISSUER_MALFORMED, 30.0)
    assert "audience_parameter" in error.remedy
    assert "other" not in str(error) + error.remedy
    assert error.grant.scopes == ("one",)


@pytest.mark.parametrize(
    ("token", "audience", "check"),
    [
        (jwt(aud=["b", AUDIENCE]), AUDIENCE, "refuse"),
        ("opaque", AUDIENCE, "refuse"),
        (f"{part({})}.{NOT_JSON}.c2ln", AUDIENCE, "refuse"),
        (jwt(aud="b"), "", "refuse"),
        (jwt(aud="b"), AUDIENCE, "warn"),
        (jwt(aud="b"), AUDIENCE, "off"),
    ],
)
def test_other_tokens_are_taken(token: str, audience: str, check: AudienceCheck) -> None:
    """Tokens that name it, opaque ones, those requested without an audience; and all if the check is off."""
    assert read(token, check=check, audience=audience).access_token.reveal() == token


@given(st.text("abcAZ09-_=.eyJ", max_size=60) | st.binary(max_size=80).map(lambda data: f"e.{part(data.hex())}.s"))
def test_no_token_makes_the_reading_raise(token: str) -> None:
    """Whatever it looks like."""
    assert isinstance(claims_of(token), dict)


@given(
    st.dictionaries(
        st.sampled_from(["scope", "scp", "aud"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=8,
        ),
    )
)
def test_claims_of_any_type_are_read(claims: dict[str, object]) -> None:
    """A grant of printable names comes out."""
    grant = read_grant({}, claims, ("asked",))
    assert isinstance(grant, Grant)
    assert all(name.isascii() and name.isprintable() for name in (*grant.scopes, *grant.audience))
