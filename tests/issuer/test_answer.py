"""Answers with a token, and answers that only look like it."""

import base64
import json
import math
from dataclasses import replace

import pytest

from mintonce_server.core.errors import IssuerMalformed, IssuerRefused
from mintonce_server.core.token import MAX_LIFETIME, Minted
from mintonce_server.issuer.response import Answer, read_answer
from support.endpoints import request_context

ASKED = request_context("login.example.com", scopes=("read", "write"), started_at=50.0, now_unix=1_800_000_000.0)
TOKEN = "eyJz93a.k4laUWw-_~+/="
LEAK = "l3aked-text"


def read(body: object, status: int = 200, default_lifetime: float | None = None) -> Minted:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = request_context(
        ASKED.issuer, ASKED.scopes, ASKED.started_at, ASKED.now_unix, default_lifetime=default_lifetime
    )
    return read_answer(Answer(status, {}, raw), asked)


def fields(**other: object) -> dict[str, object]:
    """A good answer with some fields changed; None for absent ones."""
    good = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 86400}
    return {name: value for name, value in (good | other).items() if value is not None}


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"


def test_the_contracts_answer() -> None:
    """As the OAuth domain's documentation shows it."""
    minted = read(b'{"access_token": "eyJz93a...k4laUWw", "token_type": "Bearer", "expires_in": 86400}')
    assert minted.access_token.reveal() == "eyJz93a...k4laUWw"
    assert minted.token_type == "Bearer"
    assert minted.lifetime == 86400.0
    assert minted.started_at == 50.0
    assert minted.scopes == ("read", "write")


def test_201_is_taken_too() -> None:
    """Some issuers return it for a created token."""
    assert read(fields(), status=201).lifetime == 86400.0


@pytest.mark.parametrize("status", [202, 203, 204, 206, 299])
def test_no_other_success_is(status: int) -> None:
    """RFC 6749 allows only 200: any other status came from something else."""
    with pytest.raises(IssuerMalformed, match=str(status)):
        read(fields(), status=status)


@pytest.mark.parametrize("kind", ["bearer", "BEARER", "Bearer", None])
def test_bearer_in_any_case_or_unsaid_is_bearer(kind: str | None) -> None:
    """Issuers differ, and some resource servers accept one spelling only: callers get that one."""
    assert read(fields(token_type=kind)).token_type == "Bearer"


@pytest.mark.parametrize("kind", ["mac", "DPoP", "N_A", "", 1, ["Bearer"], {}, False])
def test_other_token_types_are_refused(kind: object) -> None:
    """RFC 6749, section 7.1: a client must not use a type that it does not know."""
    with pytest.raises(IssuerMalformed, match="token_type") as caught:
        read(fields(token_type=kind))
    assert "7.1" in caught.value.remedy


@pytest.mark.parametrize("token", ["opaque", "a", "x" * 16384, "~!#$%&'()*.,:;<=>?@[]^_`{|}\"\\"])
def test_opaque_tokens_are_taken(token: str) -> None:
    """A token is any text of visible ASCII."""
    assert read(fields(access_token=token)).access_token.reveal() == token


@pytest.mark.parametrize(
    "token",
    [
        "",
        " ",
        "a b",
        "a\nb",
        "a\r\nX-Evil: 1",
        "a\x00",
        "a\x7f",
        "ä",
        "\ud800",
        "a\n",
        "x" * 16385,
        5,
        True,
        ["a"],
        {"a": "b"},
    ],
)
def test_tokens_that_could_break_a_header_are_refused(token: object) -> None:
    """Callers put it into a header."""
    with pytest.raises(IssuerMalformed, match="access_token"):
        read(fields(access_token=token))


def test_no_token_at_all() -> None:
    """A JSON object of another kind."""
    with pytest.raises(IssuerMalformed, match="access_token"):
        read({"id_token": LEAK})


@pytest.mark.parametrize(
    ("stated", "lifetime"),
    [
        (b"3600", 3600.0),
        (b"3599.5", 3599.5),
        (b'"3600"', 3600.0),
        (b'"3600.0"', 3600.0),
        (b"1", 1.0),
        (b"1e3", 1000.0),
        (b"99999999999999999999", MAX_LIFETIME),
        (b"1e999", MAX_LIFETIME),
        (b"9" * 6000, MAX_LIFETIME),
        (b'"' + b"9" * 6000 + b'"', MAX_LIFETIME),
    ],
)
def test_lifetimes_that_are_taken(stated: bytes, lifetime: float) -> None:
    """Numbers and strings of digits; huge ones are clamped."""
    assert read(b'{"access_token":"a","expires_in":%s}' % stated).lifetime == lifetime


@pytest.mark.parametrize(
    "stated",
    [
        b"true",
        b"false",
        b'"1e3"',
        b'" 5"',
        b'"5 "',
        b'"soon"',
        b'"NaN"',
        b'"inf"',
        '"٣"'.encode(),
        b"[3600]",
        b'{"seconds":3600}',
    ],
)
def test_lifetimes_that_are_refused(stated: bytes) -> None:
    """Guesses would make tokens live too long."""
    with pytest.raises(IssuerMalformed, match="expires_in") as caught:
        read(b'{"access_token":"a","expires_in":%s}' % stated, default_lifetime=60.0)
    assert caught.value.remedy


@pytest.mark.parametrize("stated", [b"null", b"0", b"0.0", b"-1", b"-1e999", b'""', b'" "', b'"0"', b'"-1"'])
def test_an_expires_in_that_states_nothing_counts_as_absent(stated: bytes) -> None:
    """Absent, null, empty, zero or negative: the setting counts, then the JWT's own expiry."""
    assert read(b'{"access_token":"a","expires_in":%s}' % stated, default_lifetime=60.0).lifetime == 60.0
    token = jwt(iat=1_000, exp=1_900).encode()
    assert read(b'{"access_token":"%s","expires_in":%s}' % (token, stated)).lifetime == 899.0
    with pytest.raises(IssuerMalformed, match="states no lifetime"):
        read(b'{"access_token":"a","expires_in":%s}' % stated)


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
def test_literals_that_only_python_reads_are_no_json(literal: bytes) -> None:
    """In any place."""
    with pytest.raises(IssuerMalformed, match="JSON"):
        read(b'{"access_token":"a","expires_in":%s}' % literal)


@pytest.mark.parametrize("body", [fields(expires_in=None), {**fields(), "expires_in": None}], ids=["missing", "null"])
def test_without_expires_in_the_setting_counts(body: dict[str, object]) -> None:
    """RFC 6749, section 5.1, only recommends it; the setting is clamped like the rest."""
    assert read(body, default_lifetime=600.0).lifetime == 600.0
    assert read(body, default_lifetime=math.inf).lifetime == MAX_LIFETIME


def test_without_the_setting_a_jwt_says_it_itself() -> None:
    """exp minus iat: both by the issuer's clock, and in whole seconds, so it may be a second less."""
    body = fields(access_token=jwt(iat=1_000, exp=1_900), expires_in=None)
    assert read(body).lifetime == 899.0
    assert read(body, default_lifetime=60.0).lifetime == 60.0


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b",
        "a.b.c",
        "a.!!!.c",
        jwt(exp=1_900),
        jwt(iat=1_000),
        jwt(iat=1_900, exp=1_900),
        jwt(iat=1_900, exp=1_000),
        jwt(iat=True, exp=1_000),
        jwt(iat=-5, exp=1_000),
        jwt(iat=float("nan"), exp=1_000),
        jwt(iat=[1], exp={}),
        "a." + base64.urlsafe_b64encode(b"[" * 9000).decode() + ".c",
        "a." + base64.urlsafe_b64encode(b'{"iat":1e999,"exp":1e999}').decode() + ".c",
    ],
)
def test_when_nothing_says_the_lifetime_the_remedy_names_the_setting(token: str) -> None:
    """The lifetime is never guessed."""
    with pytest.raises(IssuerMalformed, match="states no lifetime") as caught:
        read(fields(access_token=token, expires_in=None))
    assert "default_lifetime" in caught.value.remedy


DATE = "Fri, 15 Jan 2027 08:00:00 GMT"
SENT = 1_800_000_000


@pytest.mark.parametrize(
    ("exp", "took", "lifetime"),
    [
        pytest.param(SENT + 3600, 0.0, 3599.0, id="as stated"),
        pytest.param(SENT + 3599, 0.0, 3598.0, id="rounded"),
        pytest.param(SENT + 3590, 12.0, 3600.0, id="a slow answer"),
        pytest.param(SENT + 5000, 0.0, 3600.0, id="later than stated"),
        pytest.param(SENT + 100, 0.0, 99.0, id="given before"),
        pytest.param(SENT + 100, 12.0, 111.0, id="given before, a slow answer"),
        pytest.param(SENT + 1, 12.0, 12.5, id="nearly over"),
        pytest.param(SENT - 300, 0.0, 3600.0, id="over by another clock"),
        pytest.param(None, 0.0, 3600.0, id="without exp"),
        pytest.param("x", 0.0, 3600.0, id="no number"),
    ],
)
def test_a_jwt_ends_when_it_says_itself(exp: object, took: float, lifetime: float) -> None:
    """Some issuers reuse one token until it expires, and state a full lifetime each time. Counted from the request."""
    asked = replace(ASKED, took=took)
    token = jwt(exp=exp, iat=SENT - 60) if exp is not None else jwt(iat=SENT)
    body = json.dumps(fields(access_token=token, expires_in=3600)).encode()
    assert read_answer(Answer(200, {"date": DATE}, body), asked).lifetime == lifetime


@pytest.mark.parametrize(
    ("iat", "exp", "took", "lifetime"),
    [
        pytest.param(SENT, SENT + 10, 0.0, 9.0, id="in whole seconds"),
        pytest.param(SENT - 1, SENT + 9, 1.2, 9.0, id="before a slow answer was written"),
        pytest.param(SENT + 0.25, SENT + 10.25, 0.0, 10.0, id="with decimals"),
        pytest.param(SENT, SENT + 1, 0.0, 0.5, id="of a second"),
        pytest.param(SENT - 5, SENT + 5, 1.2, 5.2, id="not minted for this request"),
        pytest.param(SENT, SENT + 20, 0.0, 10.0, id="longer than stated"),
    ],
)
def test_a_new_jwt_lives_by_its_own_dates(iat: float, exp: float, took: float, lifetime: float) -> None:
    """A token of 10 s with dates in whole seconds may expire up to a second before `expires_in` says so."""
    body = json.dumps(fields(access_token=jwt(iat=iat, exp=exp), expires_in=10)).encode()
    assert read_answer(Answer(200, {"date": DATE}, body), replace(ASKED, took=took)).lifetime == pytest.approx(lifetime)


@pytest.mark.parametrize("exp", [SENT, SENT - 5, SENT - 299])
def test_a_token_that_is_over_is_none(exp: int) -> None:
    """An issuer that reuses a token may return it a moment too long: the next one follows a second later."""
    body = json.dumps(fields(access_token=jwt(exp=exp, iat=SENT - 3600), expires_in=3600)).encode()
    with pytest.raises(IssuerMalformed, match="has already expired") as caught:
        read_answer(Answer(200, {"date": DATE}, body), ASKED)
    assert caught.value.retry_after == 1.0


def test_without_expires_in_and_iat_the_date_of_the_answer_stands_for_it() -> None:
    """Both are by the issuer's clock."""
    body = json.dumps(fields(access_token=jwt(exp=SENT + 100), expires_in=None)).encode()
    assert read_answer(Answer(200, {"date": DATE}, body), ASKED).lifetime == 99.0


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_without_the_issuers_date_the_stated_lifetime_counts(date: str) -> None:
    """The clock of this host may be wrong."""
    body = json.dumps(fields(access_token=jwt(exp=SENT + 100), expires_in=3600)).encode()
    assert read_answer(Answer(200, {"date": date}, body), ASKED).lifetime == 3600.0


@pytest.mark.parametrize(("exp", "lifetime"), [(SENT + 10, 9.0), (SENT + 20, 10.0), (SENT, 10.0)])
def test_without_it_a_token_lives_no_longer_than_it_did_when_it_was_minted(exp: int, lifetime: float) -> None:
    """Its own two dates are by one clock."""
    body = json.dumps(fields(access_token=jwt(iat=SENT, exp=exp), expires_in=10)).encode()
    assert read_answer(Answer(200, {}, body), ASKED).lifetime == lifetime


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("read", ("read",)),
        ("write read write", ("read", "write")),
        ("admin", ("admin",)),
        ("", ()),
        (["write", "read"], ("read", "write")),
        ('read "quoted" ünïcode', ('"quoted"', "\\xfcn\\xefcode", "read")),
        (["read", 5, None], ("read",)),
    ],
)
def test_granted_scopes_are_reported(scope: object, granted: tuple[str, ...]) -> None:
    """They may be fewer than the requested ones, or others (RFC 6749, section 3.3)."""
    assert read(fields(scope=scope)).scopes == granted


@pytest.mark.parametrize("scope", [5, True, {"read": True}])
def test_a_scope_that_is_no_text_is_refused(scope: object) -> None:
    """It is unknown what it grants."""
    with pytest.raises(IssuerMalformed, match="scope"):
        read(fields(scope=scope))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>" + LEAK.encode() + b"</html>",
        b"access_token=" + LEAK.encode() + b"&token_type=bearer",
        b'["' + LEAK.encode() + b'"]',
        b'"' + LEAK.encode() + b'"',
        b"null",
        b"42",
        b'{"access_token":"' + LEAK.encode() + b'"',
        b'{"access_token":"' + LEAK.encode() + b'"} trailing',
        b'{"access_token":"' + LEAK.encode() + b'\xff","expires_in":5}',
        b'{"access_token":"' + LEAK.encode() + b'","access_token":"b","expires_in":5}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
def test_what_is_no_json_object_is_refused_without_repeating_it(body: bytes) -> None:
    """Neither in the message nor in a traceback of its causes."""
    with pytest.raises(IssuerMalformed, match="not a JSON object") as caught:
        read(body)
    error: BaseException | None = caught.value
    while error is not None:
        assert LEAK not in repr((error, vars(error)))
        error = error.__cause__ or error.__context__


def test_a_byte_order_mark_is_forgiven() -> None:
    """RFC 8259, section 8.1, allows readers to."""
    assert read(b"\xef\xbb\xbf" + json.dumps(fields()).encode()).lifetime == 86400.0


def test_a_refusal_dressed_as_200() -> None:
    """Some issuers send errors with a 200: their code says more than the status."""
    with pytest.raises(IssuerRefused) as caught:
        read({"error": "invalid_client", "error_description": LEAK})
    assert caught.value.issuer_error == "invalid_client"
    assert LEAK not in str(caught.value)


def test_repr_shows_no_body() -> None:
    """An answer may appear in a traceback with locals."""
    assert LEAK not in repr(Answer(200, {"set-cookie": LEAK}, LEAK.encode()))
