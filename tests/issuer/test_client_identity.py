"""Whose tokens a client gets: what changes its identity, and what does not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mintonce_server.issuer.identity import Asked, canonical_url, client_identity
from mintonce_server.issuer.options import JSON, EndpointOptions
from support.endpoints import endpoint_options

URL = "https://login.example.com/oauth/token"
FORM = endpoint_options(URL, request="form")
JSON_BODY = endpoint_options(URL, request="json")
EXTRA: Mapping[str, JSON] = {"organization": "org_1", "claims": {"a": 1, "b": [True, None]}}


def identity(
    options: EndpointOptions = FORM, client_id: str = "an-id", extra: Mapping[str, JSON] = EXTRA, **more: Any
) -> str:
    return client_identity(options, Asked(client_id=client_id, extra=extra, **more))


@pytest.mark.parametrize(
    "changed",
    [
        identity(replace(FORM, token_url="https://login.example.org/oauth/token")),
        identity(replace(FORM, token_url="https://login.example.com/tenant/oauth/token")),
        identity(replace(FORM, token_url=f"{URL}?tenant=a")),
        identity(replace(FORM, token_url="https://login.example.com:8443/oauth/token")),
        identity(JSON_BODY),
        identity(replace(FORM, audience_parameter="audience")),
        identity(replace(FORM, auth="tls_client_auth")),
        identity(replace(FORM, token_url=None, issuer="https://login.example.com")),
        identity(replace(FORM, audience_parameter="scope")),
        identity(replace(FORM, audience_parameter="scope", audience_scope="{audience}/.default")),
        identity(replace(FORM, audience_parameter="none")),
        identity(replace(FORM, several_audiences="repeat")),
        identity(default_scopes=("a",)),
        identity(headers={"X-Tenant": "a"}),
        identity(has_certificate=True),
        identity(client_id="another-id"),
        identity(extra={}),
        identity(extra={**EXTRA, "organization": "org_2"}),
        identity(extra={**EXTRA, "more": None}),
        identity(extra={"organization": "org_1", "claims": {"a": True, "b": [True, None]}}),
    ],
)
def test_what_decides_which_token_comes_is_part_of_it(changed: str) -> None:
    """Another endpoint, client_id, kind of request or extra claim."""
    assert changed != identity()


@pytest.mark.parametrize(
    "same",
    [
        identity(replace(FORM, auth="client_secret_basic")),
        identity(replace(FORM, auth="private_key_jwt", assertion_audience="https://login.example.com/")),
        identity(replace(FORM, timeout=1.0, http2=True, default_lifetime=60.0, ca_file="/ca.pem")),
        identity(replace(FORM, audience_check="refuse")),
        identity(replace(FORM, basic_encoding="none", system_authorities=True, provider="hydra")),
        identity(replace(FORM, audience_scope="{audience}/.default")),
        identity(default_scopes=(), headers={}),
        identity(replace(FORM, token_url="HTTPS://Login.Example.com:443/oauth/token")),
        identity(extra={"claims": {"b": [True, None], "a": 1}, "organization": "org_1"}),
    ],
)
def test_what_brings_the_same_token_is_not(same: str) -> None:
    """Another credential or another spelling causes no mint."""
    assert same == identity()


def test_a_form_is_not_json_even_if_it_calls_all_the_same() -> None:
    """An issuer may read other parameters in it."""
    assert identity(replace(FORM, audience_parameter="audience")) != identity(JSON_BODY)


def test_json_has_one_name_for_the_audience() -> None:
    """The setting has no effect there."""
    assert identity(replace(JSON_BODY, audience_parameter="audience")) == identity(JSON_BODY)


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://login.example.com", "https://login.example.com/"),
        ("HTTPS://LOGIN.example.com:443/T", "https://login.example.com/T"),
        ("http://localhost:80/t", "http://localhost/t"),
        ("http://localhost:443/t", "http://localhost:443/t"),
        ("https://login.example.com:/t", "https://login.example.com/t"),
        ("http://[::1]:8080/t", "http://[::1]:8080/t"),
        ("https://login.example.com/t;v=1?Tenant=A", "https://login.example.com/t;v=1?Tenant=A"),
        ("https://login.example.com/t?", "https://login.example.com/t?"),
        ("https://login.example.com/%7Et/", "https://login.example.com/%7Et/"),
    ],
)
def test_only_sure_spellings_are_unified(url: str, canonical: str) -> None:
    """Scheme, host, default port and empty path; other differences may mean another tenant."""
    assert canonical_url(url) == canonical
