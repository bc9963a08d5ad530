"""Answers without a token: which error, when to retry, what to do."""

import json

import pytest

from mintonce_server.core.errors import (
    IssuerError,
    IssuerMalformed,
    IssuerRefused,
    IssuerThrottled,
    IssuerUnavailable,
)
from mintonce_server.issuer.response import Answer, read_answer
from support.endpoints import request_context

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
ASKED = request_context("login.example.com", scopes=(), started_at=0.0, now_unix=NOW)


def refused(status: int, body: object = b"", **headers: str) -> IssuerError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(IssuerError) as caught:
        read_answer(Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, raw), ASKED)
    return caught.value


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_names_the_issuers_code_and_rests(status: int) -> None:
    """The whole fleet waits 30 s: repeating does not help."""
    error = refused(status, {"error": "invalid_client", "error_description": "the secret s3cret is wrong"})
    assert type(error) is IssuerRefused
    assert error.issuer_error == "invalid_client"
    assert error.retry_after == 30.0
    assert str(error) == f"login.example.com answered {status} (invalid_client)"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("invalid_client", "secret"),
        ("invalid_grant", "client_credentials"),
        ("unauthorized_client", "client_credentials"),
        ("unsupported_grant_type", "client_credentials"),
        ("invalid_scope", "scopes"),
        ("invalid_target", "audience"),
        ("access_denied", "Authorize"),
        ("invalid_request", "request"),
    ],
)
def test_each_code_has_a_remedy_of_its_own(code: str, word: str) -> None:
    """RFC 6749, section 5.2, RFC 8707, and what the JSON dialect says."""
    assert word in refused(400, {"error": code}).remedy


@pytest.mark.parametrize(
    ("status", "code", "of_client"),
    [
        (401, "invalid_client", True),
        (400, "invalid_client", True),
        (401, "access_denied", True),
        (401, "", True),
        (403, "access_denied", False),
        (400, "invalid_scope", False),
    ],
)
def test_a_proof_that_is_not_taken_is_a_refusal_of_the_client(status: int, code: str, *, of_client: bool) -> None:
    """RFC 6749, section 5.2; and a 401 with any code (Auth0). Other refusals depend on the request."""
    assert refused(status, {"error": code}).of_client is of_client


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 418, 422, 451])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b'{"error":{"code":5}}', b'{"errorCode":"E1"}'])
def test_a_refusal_without_a_code_still_has_a_remedy(status: int, body: bytes) -> None:
    """By its status."""
    error = refused(status, body)
    assert type(error) is IssuerRefused
    assert error.issuer_error == ""
    assert error.remedy.endswith(".")
    assert str(error) == f"login.example.com answered {status}"


@pytest.mark.parametrize("status", [404, 405, 410])
def test_a_wrong_path_is_pointed_out(status: int) -> None:
    """The most frequent mistake of a setup."""
    assert "token_url" in refused(status).remedy


@pytest.mark.parametrize(
    ("status", "code"), [(415, ""), (415, "invalid_client"), (400, ""), (400, "invalid_request"), (401, "")]
)
def test_a_wrong_dialect_is_pointed_out(status: int, code: str) -> None:
    """A form server that gets JSON returns one of these; so does a JSON server that gets a form."""
    remedy = refused(status, {"error": code}).remedy
    assert '"form"' in remedy
    assert '"json"' in remedy


@pytest.mark.parametrize(
    "code",
    [
        "the secret s3cret is wrong",
        "s3cret",
        "https://errors.example/s3c",
        's3cret"',
        "s3cret\\",
        "s3cret\n",
        "s3crét",
        "\ud800",
        "x" * 65,
        "",
        5,
        None,
        ["s3cret"],
    ],
)
def test_what_is_no_clean_code_is_not_repeated(code: object) -> None:
    """It may be any text."""
    error = refused(400, {"error": code})
    assert error.issuer_error == ""
    assert "s3c" not in str(error) + error.remedy


def test_unknown_codes_are_repeated() -> None:
    """The issuer's operators can look them up."""
    assert refused(400, {"error": "quota_exceeded_for_tenant"}).issuer_error == "quota_exceeded_for_tenant"


@pytest.mark.parametrize("code", ["slow_down", "too_many_requests", "too_many_attempts"])
def test_throttling_by_code_is_throttling(code: str) -> None:
    """Some issuers do not use 429."""
    error = refused(400, {"error": code}, retry_after="7")
    assert type(error) is IssuerThrottled
    assert error.retry_after == 7.0
    assert error.issuer_error == code


def test_being_unavailable_by_code_is_being_unavailable() -> None:
    """The client needs no correction."""
    assert type(refused(400, {"error": "temporarily_unavailable"})) is IssuerUnavailable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("7.5", 7.5),
        ("0.2", 1.0),
        ("0", 1.0),
        ("299", 299.0),
        ("86400", 300.0),
        ("9" * 300, 300.0),
        ("7.", 7.0),
        ("7.12345678901", 7.12345678901),
        ("7, 40", 40.0),
        ("7, 7", 7.0),
        ("Wed, 21 Oct 2015 07:28:20 GMT", 20.0),
        ("Wed, 21 Oct 2015 07:28:20 -0000", 20.0),
        ("Wed, 21 Oct 2015 06:00:00 GMT", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
    ],
)
@pytest.mark.parametrize("status", [408, 429, 500, 503, 504, 401, 403])
def test_retry_after_in_seconds_or_as_a_date_is_clamped(status: int, text: str, seconds: float) -> None:
    """To 1–300 s, so that no issuer can stop the fleet for a day or get too many requests."""
    assert refused(status, retry_after=text).retry_after == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-5",
        ".5",
        "1e3",
        "7, soon",
        "7,",
        "٣",
        "9" * 400,
        "Wed, 99 Oct 2015 07:28:20 GMT",
        "Wed, 21 Oct 2015 07:28:20 +999999999",
    ],
)
def test_a_senseless_retry_after_is_none(text: str) -> None:
    """The broker then chooses a back-off."""
    assert refused(429, retry_after=text).retry_after is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1445412491", 11.0),
        ("1445412490.5", 10.5),
        ("1445412491000", 11.0),
        ("12", 12.0),
        ("12, 60", 60.0),
        ("0", 1.0),
        ("9999999999", 300.0),
    ],
)
def test_the_reset_of_a_rate_limit_counts(text: str, seconds: float) -> None:
    """Since 1970, by the issuer's clock, as Auth0 does; or from now, as others do."""
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert refused(429, x_ratelimit_reset=text, date=date).retry_after == seconds


@pytest.mark.parametrize("name", ["ratelimit_reset", "x_rate_limit_reset"])
def test_other_names_of_it_count_too(name: str) -> None:
    """There is no standard name."""
    assert refused(429, **{name: "60"}).retry_after == 60.0


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e3"])
def test_a_senseless_reset_is_none(text: str) -> None:
    """The broker then chooses a back-off."""
    assert refused(429, x_ratelimit_reset=text).retry_after is None


def test_retry_after_counts_before_the_reset() -> None:
    """It is the standard (RFC 9110)."""
    assert refused(429, retry_after="5", x_ratelimit_reset="50").retry_after == 5.0


def test_a_date_is_taken_against_the_issuers_own_clock() -> None:
    """Clocks of two hosts are never compared: here the issuer's is a year ahead."""
    error = refused(429, retry_after="Fri, 21 Oct 2016 07:28:20 GMT", date="Fri, 21 Oct 2016 07:28:00 GMT")
    assert error.retry_after == 20.0


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 599, 408])
def test_trouble_at_the_issuer_is_unavailable(status: int) -> None:
    """It names no time, so that each replica's jitter counts."""
    error = refused(status, b"<html>oops</html>")
    assert type(error) is IssuerUnavailable
    assert error.retry_after is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """The secret would be sent to another server. The address is not repeated, either."""
    error = refused(status, location="https://s3cret.example.com/")
    assert type(error) is IssuerMalformed
    assert "a redirect, which is not followed" in str(error)
    assert "s3cret" not in str(error) + error.remedy


@pytest.mark.parametrize("status", [0, 100, 199, 600, 999])
def test_statuses_that_do_not_exist_are_malformed(status: int) -> None:
    """A peer may send any three digits."""
    assert type(refused(status)) is IssuerMalformed
