"""What the practice issuer takes and refuses."""

import json

import pytest

from mintonce_dev.contract import MAX_REQUEST, TokenRequest, Verdict, judge
from mintonce_server.core.secret import Secret

AUDIENCE = "https://api.example.com/"
GOOD = {"audience": AUDIENCE, "grant_type": "client_credentials", "client_id": "c", "client_secret": "s3cret"}


def verdict(body: object, content_type: str = "application/json", audiences: frozenset[str] | None = None) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(TokenRequest(content_type, raw), {"c": Secret("s3cret")}, audiences)


@pytest.mark.parametrize(
    "body", [GOOD, GOOD | {"scope": "read write"}, GOOD | {"organization": "org_1", "deep": {"claim": [1]}}]
)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_the_contract_with_scope_and_extra_claims_is_granted(body: dict[str, object], content_type: str) -> None:
    """Nothing else is."""
    granted = verdict(body, content_type)
    assert (granted.status, granted.error) == (200, "")
    assert (granted.client_id, granted.audience, granted.scope) == ("c", AUDIENCE, body.get("scope", ""))


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "access_denied"),
        ({"client_secret": None}, 401, "access_denied"),
        ({"client_id": "unknown"}, 401, "access_denied"),
        ({"client_id": None}, 401, "access_denied"),
        ({"audience": None}, 403, "access_denied"),
        ({"audience": ""}, 403, "access_denied"),
        ({"audience": "https://other.example.com/"}, 403, "access_denied"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "invalid_request"),
        ({"audience": [AUDIENCE]}, 400, "invalid_request"),
        ({"client_secret": 5}, 400, "invalid_request"),
        ({"scope": ["read"]}, 400, "invalid_request"),
    ],
)
def test_each_fault_has_its_status_and_code(change: dict[str, object], status: int, error: str) -> None:
    """Like those of a real domain."""
    body = {name: value for name, value in (GOOD | change).items() if value is not None}
    refused = verdict(body, audiences=frozenset({AUDIENCE}))
    assert (refused.status, refused.error) == (status, error)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_only_json_is_taken(content_type: str) -> None:
    """A form is another dialect."""
    assert verdict(GOOD, content_type).status == 415


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff{}", b"[" * 10_000, b'{"client_id":"c","client_id":"d"}']
)
def test_what_is_no_object_is_an_invalid_request(body: bytes) -> None:
    """Each name once, in UTF-8."""
    assert (verdict(body).status, verdict(body).error) == (400, "invalid_request")


def test_a_large_body_is_refused() -> None:
    """413."""
    assert verdict(b" " * (MAX_REQUEST + 1)).status == 413


def test_no_verdict_repeats_the_secret() -> None:
    """Verdicts go into the log and the answer."""
    assert "s3cret" not in repr([verdict(GOOD), verdict(GOOD | {"client_id": "unknown"}), TokenRequest("", b"s3cret")])
