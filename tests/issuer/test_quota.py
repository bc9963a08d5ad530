"""What answers say about quotas is read from the headers of real issuers, and nothing else is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.quota import QuotaWindow
from mintonce_server.core.quota_guard import pause_of
from mintonce_server.issuer.quota import MAX_NUMBER, MAX_WINDOWS, read_quota

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"  # NOW


def read(**headers: str) -> tuple[QuotaWindow, ...]:
    return read_quota({name.replace("_", "-"): text for name, text in headers.items()}, NOW)


def test_auth0_names_token_quotas_of_client_and_organization() -> None:
    """Bucket, quota, remaining, seconds to the reset."""
    assert read(
        auth0_client_quota_limit="b=per_hour;q=10;r=7;t=3540,b=per_day;q=50;r=47;t=43200",
        auth0_organization_quota_limit="b=per_day;q=500;r=0;t=60",
    ) == (
        QuotaWindow("client per_hour", True, 10, 7, 3540.0),
        QuotaWindow("client per_day", True, 50, 47, 43200.0),
        QuotaWindow("organization per_day", True, 500, 0, 60.0),
    )


@pytest.mark.parametrize("prefix", ["x_ratelimit", "x_rate_limit", "ratelimit"])
@pytest.mark.parametrize("reset", ["60", "1800000060", "1800000060000"])
def test_rate_limits_count_requests(prefix: str, reset: str) -> None:
    """Auth0, Okta, and older drafts. The reset is in seconds, or a point in time."""
    headers = {f"{prefix}_limit": "100", f"{prefix}_remaining": "42", f"{prefix}_reset": reset}
    assert read(**headers) == (QuotaWindow("requests", False, 100, 42, 60.0),)


def test_a_point_in_time_is_compared_with_the_issuers_clock() -> None:
    """Ours may be wrong."""
    headers = {"x-rate-limit-limit": "5", "x-rate-limit-reset": "1800000090", "date": DATE}
    assert read_quota(headers, NOW + 3600.0) == (QuotaWindow("requests", False, 5, None, 90.0),)


def test_the_draft_standard_has_policies_and_what_is_left() -> None:
    """RFC 9651 lists; other parameters and units do not matter."""
    assert read(
        ratelimit_policy='"burst";q=100;w=60, "daily";w=86400;q=1000;pk=:Y2xpZW50:,"size";q=9;qu="content-bytes"',
        ratelimit='"burst";r=50;t=30,"daily" ; r=1000, other;r=1, "size";r=3;qu="content-bytes"',
    ) == (
        QuotaWindow("requests burst", False, 100, 50, 30.0),
        QuotaWindow("requests daily", False, 1000, 1000, None),
        QuotaWindow("requests other", False, None, 1, None),
    )


def test_token_quotas_come_first() -> None:
    """So that a limit on their number drops the others."""
    found = read(
        x_ratelimit_limit="1",
        auth0_client_quota_limit=",".join(f"b=b{n};q=1" for n in range(MAX_WINDOWS + 3)),
    )
    assert len(found) == MAX_WINDOWS
    assert all(window.counts_tokens for window in found)


@pytest.mark.parametrize(
    "headers",
    [
        {"auth0_client_quota_limit": "b=per_hour"},
        {"auth0_client_quota_limit": "q=10;r=7"},
        {"auth0_client_quota_limit": "b=per hour;q=10"},
        {"auth0_client_quota_limit": f"b=x;q={MAX_NUMBER + 1}"},
        {"auth0_client_quota_limit": "b=x;q=1" + " " * 600},
        {"auth0_client_quota_limit": "b=x;q=-1;r=1.5"},
        {"auth0_client_quota_limit": "b=x;q=\u0661"},
        {"x_ratelimit_limit": "100, 100;w=60"},
        {"x_ratelimit_reset": "60"},
        {"ratelimit": '"a";r=1,'[:-1] + ' "b"'},
        {"ratelimit": '"a;r=1'},
        {"ratelimit": '"a";r=x'},
    ],
)
def test_anything_odd_is_not_said(headers: dict[str, str]) -> None:
    """Never an error, and never a reason not to take the token."""
    assert read(**headers) == ()


def test_a_window_that_ends_too_late_has_no_end() -> None:
    """Nor one whose end is not a number."""
    (far, odd) = read(auth0_client_quota_limit="b=x;q=1;r=0;t=99999999999,b=y;q=1;t=soon")
    assert (far.reset_in, odd.reset_in) == (None, None)


def test_no_header_takes_long() -> None:
    """The longest that is read, of the worst kind for a pattern with two ways to match."""
    began = time.process_time()
    for text in (";a=1" * 127, ' ;a="x"' * 73, ";a= " * 127, '"a"' + ";a=1 " * 101 + '"'):
        read(ratelimit='"n"' + text, ratelimit_policy=text)
    assert time.process_time() - began < 1.0


NAMES = [
    "auth0-client-quota-limit", "auth0-organization-quota-limit", "x-ratelimit-limit", "x-ratelimit-remaining",
    "x-rate-limit-reset", "x-ratelimit-reset", "ratelimit", "ratelimit-policy", "ratelimit-limit", "date",
]  # fmt: skip
TEXTS = st.text(max_size=600) | st.text('b=qrt;,"1290 .-:*xe', max_size=600) | st.integers().map(str)


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS), st.floats(0, 4e9))
def test_whatever_comes_is_read_within_bounds(headers: dict[str, str], now: float) -> None:
    """Hypothesis found none that is not."""
    windows = read_quota(headers, now)
    assert len(windows) <= MAX_WINDOWS
    assert len({window.name for window in windows}) == len(windows)
    for window in windows:
        assert window.name.isascii()
        assert window.name.isprintable()
        assert len(window.name) < 100
        numbers = [number for number in (window.limit, window.remaining) if number is not None]
        assert numbers
        assert all(0 <= number <= MAX_NUMBER for number in numbers)
        assert window.reset_in is None or 0.0 <= window.reset_in <= 366 * 86_400.0
    for only in (True, False):
        assert (pause := pause_of(windows, tokens_only=only)) is None or 1.0 <= pause <= 300.0
