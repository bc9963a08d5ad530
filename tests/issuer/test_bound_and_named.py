"""Tokens that are bound to our key or certificate, and the issuer's id of an exchange."""

import base64
import json

import pytest

from mintonce_server.core.errors import IssuerMalformed, IssuerRefused
from mintonce_server.core.token import Minted
from mintonce_server.issuer.response import Answer, read_answer
from support.endpoints import request_context

THUMBPRINT = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"


def jwt(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJSUzI1NiJ9.{part}.c2lnbmF0dXJl"


def read(token: str, headers: dict[str, str] | None = None, *, allow: bool = False, also: object = None) -> Minted:
    body = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 60, "cnf": also}).encode()
    return read_answer(Answer(200, headers or {}, body), request_context("h", (), 0.0, 0.0, allow_bound_tokens=allow))


@pytest.mark.parametrize(
    ("token", "also"),
    [
        (jwt({"cnf": {"x5t#S256": THUMBPRINT}}), None),
        (jwt({"cnf": {"jkt": THUMBPRINT}}), None),
        (jwt({"cnf": {"jwk": {"kty": "EC"}}}), None),
        (jwt({"cnf": "odd"}), None),
        ("opaque", {"x5t#S256": THUMBPRINT}),
    ],
    ids=["certificate", "DPoP", "key", "odd", "said beside it"],
)
def test_a_bound_token_is_refused_unless_allowed(token: str, also: object) -> None:
    """Callers have neither our certificate nor our key (RFC 8705, section 3; RFC 9449, section 6)."""
    with pytest.raises(IssuerMalformed, match="bound") as caught:
        read(token, also=also)
    assert "allow_bound_tokens" in caught.value.remedy
    assert THUMBPRINT not in str(caught.value) + caught.value.remedy
    assert read(token, allow=True, also=also).access_token.reveal() == token


@pytest.mark.parametrize("token", [jwt({"sub": "a"}), jwt({"cnf": None}), jwt({"cnf": {}}), jwt([]), "a.b.c", "opaque"])
def test_others_are_not_bound(token: str) -> None:
    """A token that is not a JWT is opaque."""
    assert read(token).access_token.reveal() == token


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"x-request-id": "req-1"}, "req-1"),
        ({"x-auth0-requestid": "3e2b9c"}, "3e2b9c"),
        ({"x-correlation-id": "c", "x-request-id": "r"}, "r"),
        ({"x-request-id": 'a" b\u00e9', "request-id": "good"}, "good"),
        ({"x-request-id": "r" * 129}, ""),
        ({"x-request-id": "r" * 128}, "r" * 128),
        ({"x-request-id": ""}, ""),
        ({"date": "Wed, 21 Oct 2015 07:28:20 GMT"}, ""),
    ],
)
def test_the_issuers_name_for_the_exchange_is_kept_if_it_is_harmless(headers: dict[str, str], name: str) -> None:
    """It is logged as it is."""
    assert read("t", headers).request_id == name
    with pytest.raises(IssuerRefused) as caught:
        read_answer(Answer(400, headers, b"{}"), request_context("h", (), 0.0, 0.0))
    assert caught.value.request_id == name
