"""What a source does next: the decisions alone, on a clock that the test moves."""

from datetime import UTC, datetime

import grpc
import pytest

from mintonce import MintonceError, Token, TokenExpired, Unavailable
from mintonce._follow import BACKOFF_MAX, WATCH_MAX, Fetch, Follower, Pause, Report, Step, Watch

NOW = 1000.0
LATE = Unavailable("too late", code=grpc.StatusCode.DEADLINE_EXCEEDED)
DOWN = Unavailable("down", code=grpc.StatusCode.UNAVAILABLE)
NO_WATCH = MintonceError("no such method", code=grpc.StatusCode.UNIMPLEMENTED)


def token(generation: int = 1, now: float = NOW, life: float = 1000.0, refresh_in: float = 900.0) -> Token:
    return Token(
        access_token="text",
        token_type="Bearer",
        scopes=(),
        generation=generation,
        expires_at=now + life,
        refresh_at=now + refresh_in,
        expire_time=datetime(2030, 1, 1, tzinfo=UTC),
    )


def follower(first: Token | None = None, jitter: float = 1.0) -> Follower:
    return Follower(first or token(), NOW, jitter=lambda: jitter)


def limit_of(step: Step) -> float:
    assert isinstance(step, Watch)
    return step.limit


def test_with_a_fresh_token_it_watches_until_a_little_after_the_refresh_time() -> None:
    """The watch has 5 to 10 seconds of grace to push the successor."""
    assert limit_of(follower().next(NOW)) == 910.0
    short = token(life=500.0, refresh_in=400.0)
    assert limit_of(follower(short, jitter=0.0).next(NOW)) == 405.0


def test_a_watch_is_reopened_now_and_then() -> None:
    """A dead connection does not stay unnoticed for the whole life of a day's token."""
    day = token(life=86400.0, refresh_in=85500.0)
    assert limit_of(follower(day).next(NOW)) == WATCH_MAX
    assert limit_of(follower(day, jitter=0.0).next(NOW)) == WATCH_MAX / 2


def test_a_watch_that_reached_its_limit_is_no_failure() -> None:
    """It is opened again at once."""
    follow = follower()
    follow.watch_ended(LATE, NOW, 50.0, NOW + 50.0)
    assert isinstance(follow.next(NOW + 50.0), Watch)


def test_when_the_watch_pushes_nothing_by_then_it_fetches() -> None:
    """A watch that hangs costs seconds, not the token."""
    follow = follower()
    follow.watch_ended(LATE, NOW, 910.0, NOW + 910.0)
    assert follow.next(NOW + 910.0) == Fetch()


def test_a_fetch_that_brings_nothing_newer_is_repeated_after_a_pause() -> None:
    """A tenth of what is left, so that the end comes nearer without a rush."""
    follow = follower()
    follow.fetched(token(), NOW + 910.0)
    assert limit_of(follow.next(NOW + 910.0)) == pytest.approx(9.0)


def test_failed_watches_back_off_with_full_jitter() -> None:
    """Each failure doubles the range, up to half a minute; the token's refresh time is still kept."""
    follow = follower()
    follow.watch_ended(DOWN, NOW, 910.0, NOW)
    assert follow.next(NOW) == Pause(1.0)
    for _ in range(20):
        follow.watch_ended(DOWN, NOW, 910.0, NOW)
    assert follow.next(NOW) == Pause(BACKOFF_MAX)
    assert follow.next(NOW + 911.0) == Fetch()
    eager = follower(jitter=0.0)
    eager.watch_ended(DOWN, NOW, 910.0, NOW)
    assert isinstance(eager.next(NOW), Watch)


def test_a_watch_that_lasted_starts_the_back_off_again() -> None:
    """A rolling update is not an outage."""
    follow = follower()
    for _ in range(5):
        follow.watch_ended(DOWN, NOW, 910.0, NOW)
    follow.watch_ended(DOWN, NOW, 910.0, NOW + 60.0)
    assert follow.next(NOW + 60.0) == Pause(1.0)


def test_a_server_without_watch_is_polled_at_the_refresh_time() -> None:
    """And asked for a watch again some time later."""
    short = follower(token(life=100.0, refresh_in=90.0))
    short.watch_ended(NO_WATCH, NOW, 95.0, NOW)
    assert short.next(NOW) == Pause(95.0)
    assert short.next(NOW + 95.0) == Fetch()


def test_the_servers_retry_after_is_kept() -> None:
    """The jitter goes on top of it."""
    follow = follower()
    follow.fetch_failed(Unavailable("busy", retry_after=20.0), NOW + 910.0)
    follow.watch_ended(NO_WATCH, NOW, 910.0, NOW + 910.0)
    assert follow.next(NOW + 910.0) == Pause(21.0)


@pytest.mark.parametrize(
    ("offered", "accepted"),
    [
        (token(generation=2), True),
        (token(generation=1), False),
        (token(generation=0), False),
        (token(generation=2, life=0.0), False),
    ],
)
def test_only_a_live_token_of_a_higher_generation_replaces_a_live_one(offered: Token, accepted: bool) -> None:
    """Two replicas may answer out of order."""
    follow = follower()
    assert follow.offer(offered, NOW) is accepted


def test_when_nothing_lives_any_live_token_will_do() -> None:
    """A store that lost its history may count from lower numbers."""
    follow = follower(token(generation=5, life=10.0, refresh_in=9.0))
    assert follow.offer(token(generation=3, now=NOW + 11.0), NOW + 11.0)


def test_a_rejected_generation_never_comes_back() -> None:
    """Another replica may not have heard of the rejection yet."""
    follow = follower(token(generation=5))
    follow.want_report(5, NOW)
    assert follow.next(NOW) == Report(5)
    follow.reported(5, NOW)
    assert follow.live(NOW) is None
    assert follow.next(NOW) == Fetch()
    assert not follow.fetched(token(generation=5), NOW)
    assert not follow.offer(token(generation=4), NOW)
    assert follow.offer(token(generation=6), NOW)


def test_a_generation_is_reported_once() -> None:
    """Later reports of it find it done."""
    follow = follower(token(generation=5))
    follow.want_report(5, NOW)
    follow.reported(5, NOW)
    follow.want_report(5, NOW)
    assert follow.next(NOW) == Fetch()


def test_a_refused_report_is_not_repeated_before_its_time() -> None:
    """The token stays in use; who reports again gets the same answer without a call."""
    follow = follower()
    follow.want_report(1, NOW)
    follow.report_failed(Unavailable("too soon", retry_after=30.0), NOW)
    assert follow.live(NOW) is not None
    with pytest.raises(Unavailable, match="too soon"):
        follow.want_report(1, NOW + 1.0)
    follow.want_report(1, NOW + 40.0)
    assert follow.next(NOW + 40.0) == Report(1)


def test_who_waits_for_a_dead_token_makes_it_fetch_now_but_not_against_the_back_off() -> None:
    """Callers of a dead source must not become a storm of calls."""
    follow = follower(token(life=10.0, refresh_in=9.0))
    follow.watch_ended(DOWN, NOW, 9.0, NOW)
    follow.hurry(NOW + 10.0)
    assert follow.next(NOW + 10.0) == Fetch()
    follow.fetch_failed(DOWN, NOW + 10.0)
    with pytest.raises(TokenExpired, match="down") as caught:
        follow.hurry(NOW + 10.5)
    assert caught.value.__cause__ is DOWN
