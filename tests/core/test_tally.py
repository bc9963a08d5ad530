"""Which keys count as overdue: in use, and without the successor that they should have by now."""

import pytest

from mintonce_server.core.cache import Entry
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.tally import tally
from mintonce_server.core.token import Token
from support.clocks import ManualClock
from support.samples import KEY, minted
from support.scripted_issuer import ScriptedIssuer

CLIENT = OAuthClient(KEY.client, ScriptedIssuer(ManualClock()))
WARM = OAuthClient(KEY.client, ScriptedIssuer(ManualClock()), keep_warm=True)


def held(clock: ManualClock, lifetime: float, client: OAuthClient = CLIENT) -> tuple[Entry, Token]:
    """A key that a watch follows or nobody does, with a token."""
    entry = Entry(KEY, "hash", client, clock.monotonic())
    token = Token.of(minted(clock, lifetime=lifetime), KEY, "hash", 7, 1, 0.0)
    assert entry.offer(token, clock.monotonic(), clock.monotonic())
    return entry, token


def overdue(entry: Entry, at: float) -> int:
    return tally([entry], at).clients[KEY.client].overdue


@pytest.mark.parametrize("lifetime", [10.0, 60.0, 600.0, 3600.0, 86_400.0])
def test_a_token_in_use_is_overdue_half_way_from_its_refresh_to_its_end(lifetime: float) -> None:
    """Whatever its lifetime: a number of seconds would be right for few."""
    entry, token = held(ManualClock(), lifetime)
    entry.asked_again = True
    middle = (token.refresh_at + token.expires_at) / 2

    assert [overdue(entry, at) for at in (token.refresh_at, middle - 0.01, middle + 0.01)] == [0, 0, 1]


def test_a_key_that_nobody_uses_is_never_overdue() -> None:
    """Its token may end: the next caller mints."""
    entry, token = held(ManualClock(), 600.0)

    assert [overdue(entry, at) for at in (token.expires_at - 1.0, token.expires_at + 1.0)] == [0, 0]


@pytest.mark.parametrize("use", ["watched", "kept warm"])
def test_a_key_that_is_watched_or_kept_warm_stays_overdue_when_its_token_has_ended(use: str) -> None:
    """That is worse than about to end."""
    entry, token = held(ManualClock(), 600.0, WARM if use == "kept warm" else CLIENT)
    entry.watchers = 1 if use == "watched" else 0

    assert overdue(entry, token.expires_at + 1.0) == 1


def test_a_key_that_never_had_a_token_is_not_overdue() -> None:
    """A caller can make up any number of them."""
    entry = Entry(KEY, "hash", WARM, 0.0)
    entry.watchers = 1

    assert overdue(entry, 1.0) == 0
