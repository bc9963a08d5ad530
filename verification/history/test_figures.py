"""What a run measured, on made-up histories."""

import math

import pytest
from history.checker import Extra, figures
from history.figures import spread
from history.tale import Tale


def test_posts_per_generation() -> None:
    """Two generations, two POSTs."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0), at=1.0)
    tale.get("a", tale.mint("b", at=92.0), at=93.0)
    measured = figures(tale.history)
    assert (measured.posts, measured.generations, measured.posts_per_generation) == (2, 2, 1.0)
    assert (measured.keys, measured.operations) == (1, 2)


def test_extra_posts_are_told_by_the_fault_that_was_near() -> None:
    """A holder was killed; a POST without a token; both against what the law allows."""
    tale = Tale()
    tale.started("a", at=0.0)
    tale.fault("kill", 0.1, 2.0, "a", crash=True)
    tale.get("b", tale.mint("b", at=3.1), at=4.0)
    tale.failed("b", at=60.0, retry_after=1.0)
    measured = figures(tale.history)
    assert measured.extra["kill"] == Extra(posts=1, allowed=1)
    assert measured.extra["failed mints"] == Extra(posts=1, allowed=1)
    assert measured.faults == {"kill": 1}


def test_a_generation_without_a_call_is_not_extra() -> None:
    """It was committed, and replaced before anybody came."""
    tale = Tale()
    tale.mint("a", at=0.0)
    tale.get("a", tale.mint("b", at=92.0), at=93.0)
    assert sum(extra.posts for extra in figures(tale.history).extra.values()) == 0


def test_a_post_without_any_cause_is_called_so() -> None:
    """Nothing was near."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0), at=1.0)
    tale.post(50.0, "stray")
    assert figures(tale.history).extra["none"] == Extra(posts=1, allowed=0)


def test_wakes_are_measured_from_the_commit_at_other_replicas() -> None:
    """Those that the minting replica answers itself are no wake-ups."""
    tale = Tale()
    made = tale.mint("a", at=0.0)
    tale.get("a", made, at=0.0, took=0.22, origin="MINT")
    tale.get("b", made, at=0.1, took=0.12, origin="STORE")
    tale.get("c", made, at=0.1, took=0.14, origin="STORE")
    wakes = figures(tale.history).wakes
    assert wakes.count == 2
    assert (wakes.p50, wakes.most) == pytest.approx((0.01, 0.03))


def test_recovery_is_from_the_end_of_the_fault_to_the_first_answer() -> None:
    """Of each replica that had failed; the others had nothing to recover from."""
    tale = Tale()
    made = tale.mint("a", at=0.0)
    tale.fault("redis killed", 1.0, 2.0, "redis-1", crash=True)
    tale.miss("b", at=1.5)
    tale.get("a", made, at=1.6)
    tale.get("b", made, at=2.7, took=0.3)
    recovery = figures(tale.history).recovery["redis killed"]
    assert (recovery.count, recovery.most) == pytest.approx((1, 1.0))


def test_staleness_is_the_last_older_answer_of_another_replica() -> None:
    """A rejection was acknowledged at 10.01, the old token last given to a call at 12."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.reject("a", old, at=10.0)
    tale.get("b", old, at=11.0)
    tale.get("b", old, at=12.0)
    tale.get("b", tale.mint("a", at=10.1), at=13.0)
    assert figures(tale.history).staleness.most == pytest.approx(1.99)


def test_an_endless_fault_has_no_recovery() -> None:
    """And breaks no figure."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0), at=1.0)
    tale.fault("kill", 2.0, math.inf, "b", crash=True)
    tale.miss("b", at=3.0)
    assert figures(tale.history).recovery == {}


def test_percentiles_by_the_nearest_rank() -> None:
    """Of 1 to 100; and of nothing."""
    hundred = spread(float(number) for number in range(1, 101))
    assert (hundred.p50, hundred.p99, hundred.most) == (50.0, 99.0, 100.0)
    assert spread([]).count == 0
