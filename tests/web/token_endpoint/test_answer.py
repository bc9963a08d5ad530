"""What the endpoint answers: expires_in above all, and one status and code for each reason."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mintonce_server.calls.authorize import denied
from mintonce_server.core import errors
from mintonce_server.core.broker import Served
from mintonce_server.core.client import unknown_client
from mintonce_server.core.errors import (
    Draining,
    InvalidRequest,
    IssuerRefused,
    LimitExceeded,
    MintonceError,
    PermissionDenied,
    Reason,
    Unauthenticated,
)
from mintonce_server.core.policy import Act
from mintonce_server.core.token import Origin, Token
from mintonce_server.web.answers import Answer
from mintonce_server.web.token_endpoint.answer import (
    LEAST,
    MAX_DESCRIPTION,
    SPREAD_MAX,
    SPREAD_SHARE,
    described,
    error_answer,
    refusal,
    token_answer,
)
from mintonce_server.web.token_endpoint.request import BadRequest
from support.clocks import ManualClock
from support.samples import KEY, minted

EXPECTED: Final[Mapping[Reason, tuple[int, str]]] = {
    Reason.INVALID_REQUEST: (400, "invalid_request"),
    Reason.UNAUTHENTICATED: (401, "invalid_client"),
    Reason.PERMISSION_DENIED: (400, "unauthorized_client"),
    Reason.UNKNOWN_CLIENT: (400, "unauthorized_client"),
    Reason.ISSUER_REFUSED: (502, "server_error"),
    Reason.ISSUER_THROTTLED: (429, "temporarily_unavailable"),
    Reason.LIMIT_EXCEEDED: (429, "temporarily_unavailable"),
    Reason.ROTATION_TOO_SOON: (429, "temporarily_unavailable"),
    Reason.BUDGET_USED_UP: (429, "temporarily_unavailable"),
    Reason.ISSUER_UNAVAILABLE: (503, "temporarily_unavailable"),
    Reason.STORE_UNAVAILABLE: (503, "temporarily_unavailable"),
    Reason.WAIT_TIMED_OUT: (503, "temporarily_unavailable"),
    Reason.DRAINING: (503, "temporarily_unavailable"),
    Reason.AUDIT_UNAVAILABLE: (503, "temporarily_unavailable"),
    Reason.ISSUER_MALFORMED: (502, "server_error"),
    Reason.INTERNAL: (500, "server_error"),
}
"""Written down a second time: a change of the table must be meant."""
CODES: Final = {
    *("invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"),
    *("invalid_target", "server_error", "temporarily_unavailable"),
}
"""Of RFC 6749, sections 5.2 and 4.1.2.1, and RFC 8707."""
DESCRIPTIVE: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")

chances = st.floats(0.0, 1.0, exclude_max=True)


def token(lifetime: float = 3600.0, clock: ManualClock | None = None, **changes: Any) -> Token:
    made = Token.of(minted(clock or ManualClock(0.0), lifetime=lifetime), KEY, "hash", 1, 1, 0.0)
    return replace(made, **changes)


def served(token: Token, *, degraded: bool = False) -> Served:
    return Served(token, Origin.MEMORY, degraded)


def said(answer: Answer) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(answer.body)
    return parsed


def of_reason(reason: Reason) -> MintonceError:
    """An error of the class that has this reason."""

    def below(kind: type[MintonceError]) -> Iterator[type[MintonceError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from below(each)

    kind = next(each for each in below(MintonceError) if each.reason is reason and each.__module__ == errors.__name__)
    more: dict[str, Any] = {"retry_after": 2.5} if kind is LimitExceeded else {}
    return kind("what happened", remedy="What to do.", **more)


def test_a_token_is_answered_as_rfc_6749_has_it() -> None:
    """Section 5.1. Scopes only if there are any: a library may compare them with what it asked for."""
    answer = token_answer(served(token()), 0.0, 0.0)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert said(answer) == {
        "access_token": "a-token",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "orders:read",
        "refresh_in": said(answer)["refresh_in"],
    }
    assert "scope" not in said(token_answer(served(token(scopes=())), 0.0, 0.0))


@given(st.floats(LEAST, 10.0**7), chances, st.booleans())
@example(2.0, 0.999999, False)
@example(2.05, 0.999999, False)
@example(3.0, 0.0, True)
def test_expires_in_is_an_integer_from_two_to_what_is_left(left: float, chance: float, degraded: bool) -> None:
    """Go and authlib read 0 as "for ever", and a fraction fails in Go. Envoy asks again at once when it is 1."""
    given_out = served(token(expires_at=left), degraded=degraded)
    expires_in = said(token_answer(given_out, 0.0, chance))["expires_in"]
    assert type(expires_in) is int
    assert LEAST <= expires_in <= left


@given(chances)
def test_at_no_instant_of_a_short_life_is_it_0_or_1(chance: float) -> None:
    """Each hundredth of a second of five, as long as it is handed out at all."""
    given_out = served(token(5.0))
    for hundredth in range(100 * (5 - LEAST) + 1):
        assert said(token_answer(given_out, hundredth / 100.0, chance))["expires_in"] in range(2, 6)


@given(st.floats(100.0, 10.0**6), chances)
def test_the_time_that_is_told_is_spread(left: float, chance: float) -> None:
    """By 5 % of what is left and 30 s at most: not so little that callers come back for nothing."""
    expires_in = said(token_answer(served(token(expires_at=left)), 0.0, chance))["expires_in"]
    assert left - min(SPREAD_MAX, SPREAD_SHARE * left) - 1.0 <= expires_in <= left


def test_callers_of_one_token_do_not_all_come_back_in_the_same_second() -> None:
    """Each is told another time."""
    told = {said(token_answer(served(token(3600.0)), 0.0, step / 50))["expires_in"] for step in range(50)}
    assert len(told) > 20
    assert min(told) > 3600 - 31


def test_of_a_degraded_token_the_whole_truth_is_told() -> None:
    """It is the best there is: to ask earlier brings nothing better."""
    given_out = served(token(3600.0), degraded=True)
    assert said(token_answer(given_out, 0.0, 0.999))["expires_in"] == 3600


@given(st.floats(LEAST, 4000.0), st.floats(-5000.0, 5000.0), chances)
def test_refresh_in_is_an_integer_below_expires_in_or_left_out(left: float, due: float, chance: float) -> None:
    """MSAL asks again then. One at or behind the end, or in the past, would say nothing."""
    answer = said(token_answer(served(token(expires_at=left, refresh_at=due)), 0.0, chance))
    if "refresh_in" in answer:
        assert type(answer["refresh_in"]) is int
        assert 1 <= answer["refresh_in"] < answer["expires_in"]
        assert answer["refresh_in"] <= due
    else:
        assert due < 1 or int(due) >= answer["expires_in"]


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_a_status_and_a_code(reason: Reason) -> None:
    """A new one must be added here and in the endpoint's table."""
    answer = error_answer(of_reason(reason), "r-1", used_authorization=False)
    assert (answer.status, said(answer)["error"]) == EXPECTED[reason]
    assert said(answer)["error"] in CODES
    assert answer.headers["X-Request-Id"] == "r-1"
    assert set(said(answer)) == {"error", "error_description"}


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("used", [True, False])
def test_there_is_a_challenge_only_for_a_failed_authorization_header(reason: Reason, used: bool) -> None:
    """RFC 6749, section 5.2. Without such a header it would hide the error from a library (openid-client)."""
    answer = error_answer(of_reason(reason), "r", used_authorization=used)
    expected = 'Basic realm="mintonce"' if used and reason is Reason.UNAUTHENTICATED else None
    assert answer.headers.get("WWW-Authenticate") == expected


@pytest.mark.parametrize(
    ("given_", "told"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.1, "2"), (29.5, "30"), (300, "300")]
)
def test_retry_after_is_rounded_up_and_at_least_1(given_: float, told: str) -> None:
    """Whole seconds (RFC 9110, section 10.2.3). 0 would be: at once."""
    error = LimitExceeded("too much", remedy="Wait.", retry_after=given_)
    assert error_answer(error, "r", used_authorization=False).headers["Retry-After"] == told


@pytest.mark.parametrize("reason", [reason for reason in Reason if EXPECTED[reason][0] == 503])
def test_what_passes_says_when_to_come_back(reason: Reason) -> None:
    """In a second, where nothing better is known."""
    assert error_answer(of_reason(reason), "r", used_authorization=False).headers["Retry-After"] == "1"


def test_what_the_caller_must_mend_has_no_retry_after() -> None:
    """It would come back for the same."""
    error = PermissionDenied("no", remedy="Ask.", retry_after=3.0)
    assert "Retry-After" not in error_answer(error, "r", used_authorization=False).headers


def test_a_draining_replica_and_a_large_body_end_the_connection() -> None:
    """The next request goes to another replica; nothing more is read of a body."""
    for error in (Draining("bye", remedy="Again."), BadRequest("large", "Less.", status=413)):
        assert error_answer(error, "r", used_authorization=False).headers["Connection"] == "close"
    assert "Connection" not in error_answer(InvalidRequest("x", remedy="y"), "r", used_authorization=False).headers


@pytest.mark.parametrize("code", ["access_denied", "unauthorized_client", "invalid_scope"])
def test_a_refused_credential_of_ours_is_no_fault_of_the_caller_whatever_the_issuers_code(code: str) -> None:
    """Some issuers answer 401 with a code that elsewhere is about what was asked for."""
    refused = IssuerRefused("refused", remedy="y", issuer_error=code)
    refused.of_client = True
    answer = error_answer(refused, "r", used_authorization=False)
    assert (answer.status, json.loads(answer.body)["error"]) == (502, "server_error")


@pytest.mark.parametrize(
    ("code", "status", "error", "retry_after"),
    [
        ("invalid_scope", 400, "invalid_scope", None),
        ("invalid_target", 400, "invalid_target", None),
        ("access_denied", 400, "unauthorized_client", None),
        ("unauthorized_client", 400, "unauthorized_client", None),
        ("invalid_client", 502, "server_error", "30"),
        ("invalid_grant", 502, "server_error", "30"),
        ("", 502, "server_error", "30"),
    ],
)
def test_it_is_never_the_callers_secret_when_the_issuer_refuses_ours(
    code: str, status: int, error: str, retry_after: str | None
) -> None:
    """invalid_client would make the caller change the wrong one. What it asked for itself it may mend."""
    refused = IssuerRefused("the issuer refuses", remedy="Mend it.", issuer_error=code, retry_after=2.0)
    answer = error_answer(refused, "r", used_authorization=True)
    assert (answer.status, said(answer)["error"]) == (status, error)
    assert answer.headers.get("Retry-After") == retry_after
    assert "WWW-Authenticate" not in answer.headers


def test_an_unknown_client_is_answered_as_a_denial() -> None:
    """Byte for byte: otherwise callers could try out which names there are."""
    unknown = error_answer(unknown_client("other"), "r", used_authorization=False)
    assert unknown == error_answer(denied(Act.GET), "r", used_authorization=False)


def test_who_is_not_known_is_not_told_what_is_accepted() -> None:
    """The remedy of this error names it."""
    error = Unauthenticated("the API key is not known", remedy="Send a client certificate.")
    assert said(error_answer(error, "r", used_authorization=False))["error_description"] == "the API key is not known"


def test_a_bad_request_says_its_own_code() -> None:
    """As RFC 6749 and RFC 8707 have them."""
    error = BadRequest("another grant", "Send it.", error="unsupported_grant_type")
    answer = error_answer(error, "r", used_authorization=False)
    assert (answer.status, said(answer)["error"]) == (400, "unsupported_grant_type")
    assert said(answer)["error_description"] == "another grant. Send it."


@given(st.text(st.characters(exclude_categories=()), max_size=2000))
def test_a_description_has_the_characters_that_rfc_6749_allows(text: str) -> None:
    """Section 5.2: libraries may refuse others. And it is not too long."""
    assert DESCRIPTIVE.fullmatch(described(text))
    assert len(described(text)) <= MAX_DESCRIPTION
    body = said(refusal(400, text))
    assert body == {"error": "invalid_request", "error_description": described(text)}
    assert DESCRIPTIVE.fullmatch(
        said(error_answer(InvalidRequest(text, remedy=text), "", used_authorization=True))["error_description"]
    )


def test_an_answer_without_a_request_id_has_no_empty_header() -> None:
    """For what failed before there was one."""
    assert "X-Request-Id" not in error_answer(InvalidRequest("x", remedy="y"), "", used_authorization=False).headers
