"""The arithmetic of a token's life (protocol.md, Time)."""

import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted, Token, expiry_margin, refresh_after, wanted

DAY = 86_400.0
lifetimes = st.floats(min_value=1.0, max_value=30 * DAY)
hashes = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)


def token(lifetime: float) -> Token:
    minted = Minted(Secret("canary"), "Bearer", lifetime, started_at=100.0, scopes=())
    return Token.of(minted, TokenKey.of("demo", ""), "00" * 16, 7, 1, unix_minus_monotonic=1_000_000.0)


@given(lifetimes, hashes)
def test_a_refresh_starts_before_the_leeway_and_inside_the_window(lifetime: float, key_hash: str) -> None:
    """Successors are minted ahead: no caller ever waits for one in the normal course."""
    start = refresh_after(lifetime, key_hash, 1)
    window = min(900.0, 0.1 * lifetime)
    assert lifetime - window <= start < lifetime - expiry_margin(lifetime)


@given(hashes)
def test_a_day_token_is_used_for_99_percent_of_its_life(key_hash: str) -> None:
    """LeasedMinter early wastes a paid token."""
    assert refresh_after(DAY, key_hash, 1) >= 0.989 * DAY


def test_keys_do_not_refresh_all_at_once() -> None:
    """The jitter spreads 1,000 keys over the first 40 % of the window."""
    starts = sorted(refresh_after(DAY, f"{n:032x}", 1) for n in range(1000))
    assert starts[-1] - starts[0] > 0.35 * 900
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert max(gaps) < 10


@pytest.mark.parametrize(("lifetime", "expected"), [(DAY, 30.0), (600.0, 30.0), (60.0, 3.0)])
def test_the_leeway_is_30_seconds_or_5_percent(lifetime: float, expected: float) -> None:
    """With less left, a token is replaced before it is served."""
    assert expiry_margin(lifetime) == expected


def test_at_most_half_a_lifetime_is_granted_to_min_remaining() -> None:
    """A wish for more than a token's life would otherwise mint at every call."""
    assert wanted(100.0, min_ttl=99.0) == 50.0
    assert wanted(100.0, min_ttl=20.0) == 20.0
    assert wanted(100.0, min_ttl=0.0) == 5.0


def test_a_token_is_live_until_its_last_moment_but_comfortable_only_until_the_leeway() -> None:
    """In an outage it is served to its true end."""
    hour = token(3600.0)
    assert hour.has_min_ttl(now=100.0 + 3569.9)
    assert not hour.has_min_ttl(now=100.0 + 3570.1)
    assert hour.is_live(now=100.0 + 3599.9)
    assert not hour.is_live(now=100.0 + 3600.0)


def test_the_life_counts_from_before_the_request() -> None:
    """The issuer's clock started somewhere in between: a token is never trusted longer than it lives."""
    hour = token(3600.0)
    assert hour.expires_at == 100.0 + 3600.0
    assert hour.expiry_unix == 1_000_000.0 + 3700.0


def test_a_token_never_shows_its_text() -> None:
    """Neither repr, str nor format: code that needs the text calls reveal()."""
    hour = token(3600.0)
    assert "canary" not in f"{hour} {hour!r} {hour.access_token} {hour.access_token!r} {hour.access_token:>30}"
    assert hour.access_token.reveal() == "canary"


def test_a_secret_does_not_pickle() -> None:
    """It would be in clear in whatever holds the pickle."""
    with pytest.raises(TypeError, match="reveal"):
        pickle.dumps(Secret("canary"))


@pytest.mark.parametrize(
    ("left", "wait"),
    [(3600.0, 1.0), (30.5, 1.0), (10.0, 1.0), (1.0, 0.5)],
)
def test_no_caller_waits_for_a_better_token_until_theirs_is_over(left: float, wait: float) -> None:
    """A second, or half of what is left."""
    day = token(DAY)
    assert day.max_wait(day.expires_at - left, 1.0) == pytest.approx(wait)
