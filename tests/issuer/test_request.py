"""The POST to the issuer."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

import pytest

from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.auth import ClientProof, authentication
from mintonce_server.issuer.metadata import Metadata
from mintonce_server.issuer.options import JSON, AudienceParameter, ClientCredentials, Dialect
from mintonce_server.issuer.request import HttpRequest, Parameters, mint_request
from support.clocks import ManualClock
from support.endpoints import endpoint_options

URL = "https://login.example.com/"
AUDIENCE = "https://api.example.com/"
KEY = TokenKey.of("orders", AUDIENCE)
POST, BASIC = (
    authentication(
        endpoint_options(URL, auth=auth),
        ClientCredentials("the-id", Secret("the-secret")),
        ManualClock(),
    ).proofs(Metadata.of_url(URL))[0]
    for auth in ("client_secret_post", "client_secret_basic")
)


def build(
    dialect: Dialect,
    key: TokenKey = KEY,
    proof: ClientProof = POST,
    extra: Mapping[str, JSON] | None = None,
    audience_parameter: AudienceParameter = "resource",
) -> HttpRequest:
    return mint_request(URL, key, proof, Parameters(dialect, audience_parameter, extra=extra or {}))


def form(request: HttpRequest) -> list[tuple[str, str]]:
    return parse_qsl(request.content.decode(), keep_blank_values=True, strict_parsing=True)


def test_json_is_the_contract_to_the_letter() -> None:
    """Four fields in this order, and no more."""
    assert build("json").content == (
        b'{"audience":"https://api.example.com/","grant_type":"client_credentials",'
        b'"client_id":"the-id","client_secret":"the-secret"}'
    )


@pytest.mark.parametrize(
    ("dialect", "content_type"), [("json", "application/json"), ("form", "application/x-www-form-urlencoded")]
)
def test_headers_say_what_is_sent_and_wanted(dialect: Dialect, content_type: str) -> None:
    """The body's type follows the dialect; the answer should be JSON and uncompressed."""
    headers = build(dialect).headers
    assert headers["Content-Type"] == content_type
    assert headers["Accept"] == "application/json"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("mintonce")
    assert "Authorization" not in headers


@pytest.mark.parametrize("dialect", ["json", "form"])
def test_an_empty_audience_is_not_sent(dialect: Dialect) -> None:
    """An issuer with a default audience would treat "" as an audience."""
    content = build(dialect, TokenKey.of("orders", "")).content
    assert b"audience" not in content
    assert b"resource" not in content


def test_scopes_are_joined_by_spaces() -> None:
    """RFC 6749, section 3.3; without scopes the parameter is absent."""
    key = TokenKey.of("orders", AUDIENCE, ["write", "read"])
    assert json.loads(build("json", key).content)["scope"] == "read write"
    assert ("scope", "read write") in form(build("form", key))
    assert b"scope" not in build("form").content


def test_form_follows_rfc_6749_and_names_the_audience_as_rfc_8707_does() -> None:
    """grant_type, credentials, resource."""
    assert sorted(form(build("form"))) == [
        ("client_id", "the-id"),
        ("client_secret", "the-secret"),
        ("grant_type", "client_credentials"),
        ("resource", AUDIENCE),
    ]


def test_form_can_call_it_audience() -> None:
    """As some issuers require it."""
    fields = dict(form(build("form", audience_parameter="audience")))
    assert fields["audience"] == AUDIENCE
    assert "resource" not in fields


def test_extra_claims_travel_along() -> None:
    """Any JSON in the JSON dialect."""
    extra: dict[str, JSON] = {"organization": "org_1", "deep": {"list": [1, None, True]}}
    fields = json.loads(build("json", extra=extra).content)
    assert {name: fields[name] for name in extra} == extra


def test_extra_parameters_of_a_form_are_texts() -> None:
    """A list of strings repeats its name, other structures are JSON, null is left out."""
    extra: dict[str, JSON] = {"tenant": "a&b", "hint": ["x", "y"], "details": [{"type": "pay"}], "days": 5, "no": None}
    fields = form(build("form", extra=extra))
    assert fields[-5:] == [
        ("tenant", "a&b"),
        ("hint", "x"),
        ("hint", "y"),
        ("details", '[{"type":"pay"}]'),
        ("days", "5"),
    ]


@pytest.mark.parametrize("name", ["audience", "scope", "grant_type", "client_id", "client_secret"])
@pytest.mark.parametrize("proof", [POST, BASIC], ids=["post", "basic"])
def test_extra_claims_replace_nothing(name: str, proof: ClientProof) -> None:
    """Otherwise a token could be minted for another key or another client."""
    key = TokenKey.of("orders", AUDIENCE, ["read"])
    plain = build("json", key, proof)
    assert build("json", key, proof, {name: "forged"}).content == plain.content


@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "client_assertion"])
def test_extra_claims_may_not_even_try(name: str) -> None:
    """The configuration is refused. The error has the name and not the value."""
    with pytest.raises(ValueError, match=name) as caught:
        ClientCredentials("the-id", Secret("x"), {name: "the-value"})
    assert "the-value" not in str(caught.value)


def test_basic_keeps_the_credentials_out_of_the_body() -> None:
    """RFC 6749, section 2.3: one method per request."""
    request = build("form", proof=BASIC)
    assert sorted(name for name, _ in form(request)) == ["grant_type", "resource"]
    assert request.headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("proof", [POST, BASIC], ids=["post", "basic"])
def test_repr_shows_no_secret(proof: ClientProof) -> None:
    """Requests and proofs appear in tracebacks with locals."""
    shown = repr(
        (proof, build("form", proof=proof), ClientCredentials("the-id", Secret("the-secret"), {"pin": "0815"}))
    )
    assert "the-secret" not in shown
    assert "Basic " not in shown
    assert "0815" not in shown
