"""H4, H5, H9, H10 on made-up histories: what must be reported, and what is legal though it looks alike."""

import math
from dataclasses import replace

import pytest
from history.checker import check
from history.tale import Made, Tale


def shared() -> tuple[Tale, Made]:
    """A token that lives from 0 to 100, and one caller has it."""
    tale = Tale()
    made = tale.mint("a", at=0.0)
    tale.get("a", made, at=0.0, took=0.22, origin="MINT")
    return tale, made


def test_h4_a_token_for_another_audience() -> None:
    """Its own claim says so."""
    tale, made = shared()
    tale.get("b", made, at=1.0, aud="https://other.example.com/")
    assert tale.broken() == ["H4"]


def test_h4_a_token_that_was_minted_for_another_audience() -> None:
    """It claims to be right, but the issuer minted that jti for another audience."""
    tale, _ = shared()
    other = Tale("https://other/", tale.history)
    stolen = other.mint("a", at=5.0)
    other.get("a", stolen, at=6.0)
    tale.get("b", stolen, at=7.0)
    assert "H4" in tale.broken()


@pytest.mark.parametrize("jti", ["", "never-minted"])
def test_h4_a_token_from_nowhere(jti: str) -> None:
    """No POST minted it."""
    tale, made = shared()
    tale.get("b", replace(made, jti=jti, generation=99), at=1.0)
    assert "H4" in tale.broken()


def test_h4_a_token_of_the_right_audience_by_any_replica() -> None:
    """Shared as intended, by watches too."""
    tale, made = shared()
    tale.watched("c", made, at=1.0)
    assert check(tale.history) == []


def test_h5_a_dead_token() -> None:
    """Two seconds after its end; degraded or not."""
    tale, made = shared()
    tale.get("b", made, at=102.0, degraded=True)
    assert tale.broken() == ["H5"]


def test_h5_a_watch_that_brings_a_dead_token() -> None:
    """A watch promises no less."""
    tale, made = shared()
    tale.watched("b", made, at=102.0)
    assert tale.broken() == ["H5"]


def test_h5_a_token_served_to_its_true_end() -> None:
    """JWTs state whole seconds, so that the last second is open to doubt."""
    tale, made = shared()
    tale.get("b", made, at=100.5, degraded=True)
    assert check(tale.history) == []


def test_h5_an_answer_that_a_stopped_replica_had_given_in_time() -> None:
    """It lay in a buffer while the replica slept."""
    tale, made = shared()
    tale.fault("stop", 99.0, 110.0, "b", stall=True)
    tale.get("b", made, at=98.9, took=11.2)
    assert tale.broken() == ["H9"]  # late it is all the same: 10 s were allowed
    tale.history.calls[-1] = replace(tale.history.calls[-1], deadline=12.0)
    assert check(tale.history) == []


def test_h9_a_call_that_outlives_its_deadline() -> None:
    """By more than a busy machine may add."""
    tale, made = shared()
    tale.get("b", made, at=1.0, took=10.7)
    assert tale.broken() == ["H9"]
    tale.history.calls[-1] = replace(tale.history.calls[-1], ended=11.4)
    assert check(tale.history) == []


def test_h9_a_failure_may_not_come_late_either() -> None:
    """Whatever the status."""
    tale, _ = shared()
    tale.miss("b", at=1.0, status="DEADLINE_EXCEEDED", took=11.0, reason="WAIT_TIMED_OUT")
    assert "H9" in tale.broken()


def test_h9_a_watch_has_no_deadline() -> None:
    """It lasts for days."""
    tale, made = shared()
    tale.watched("b", made, at=1.0)
    tale.history.calls[-1] = replace(tale.history.calls[-1], began=0.0, ended=90.0)
    assert check(tale.history) == []


def test_h9_a_waiter_that_was_not_woken() -> None:
    """The commit was at 0.21, and its own timer should have helped by 0.46."""
    tale, made = shared()
    tale.get("b", made, at=0.1, took=0.9, origin="STORE")
    assert tale.broken() == ["H9"]


def test_h9_one_slow_waiter_among_many() -> None:
    """Each is looked at."""
    tale, made = shared()
    for number in range(20):
        tale.get("b", made, at=0.1, took=0.12 + number / 20, origin="STORE")
    assert len(check(tale.history)) == 5


def test_h9_a_waiter_within_its_timer() -> None:
    """The message was lost, its own timer was enough."""
    tale, made = shared()
    tale.get("b", made, at=0.1, took=0.36, origin="STORE")
    assert check(tale.history) == []


def test_h9_while_the_store_is_out_of_reach_waiters_wait() -> None:
    """They are unknown."""
    tale, made = shared()
    tale.fault("black hole", 0.2, 2.0, "b", outage=True)
    tale.get("b", made, at=0.1, took=2.2, origin="STORE")
    assert check(tale.history) == []


def test_h9_who_asked_after_the_commit_was_no_waiter() -> None:
    """Slow, but not for want of a wake-up."""
    tale, made = shared()
    tale.get("b", made, at=0.3, took=1.5, origin="STORE")
    assert check(tale.history) == []


def test_h9_a_failure_without_a_reason() -> None:
    """The replica was there and said nothing."""
    tale, _ = shared()
    tale.miss("b", at=1.0, reason="", retry_after=None)
    assert "H9" in tale.broken()


def test_h9_a_failure_that_does_not_say_when_to_try_again() -> None:
    """UNAVAILABLE without RetryInfo."""
    tale, _ = shared()
    tale.miss("b", at=1.0, retry_after=None)
    assert "H9" in tale.broken()


def test_h9_an_error_of_our_own() -> None:
    """No fault excuses INTERNAL."""
    tale, _ = shared()
    tale.fault("kill", 0.9, 2.0, "b", crash=True)
    tale.miss("b", at=1.0, status="INTERNAL", reason="INTERNAL")
    assert tale.broken() == ["H9"]


def test_h9_failures_that_need_no_more_words() -> None:
    """A repetition is pointless; the caller hung up; the replica was dead."""
    tale, _ = shared()
    tale.fault("kill", 0.9, 2.0, "b", crash=True)
    tale.miss("c", at=1.0, status="PERMISSION_DENIED", reason="PERMISSION_DENIED", retry_after=None)
    tale.miss("c", at=1.0, status="CANCELLED", reason="", retry_after=None)
    tale.miss("b", at=1.0, reason="", retry_after=None)
    assert check(tale.history) == []


def test_h10_a_failure_though_nothing_ever_went_wrong() -> None:
    """Whatever it says."""
    tale, _ = shared()
    tale.miss("b", at=1.0)
    assert tale.broken() == ["H10"]


def test_h10_a_mint_that_failed_though_all_was_well() -> None:
    """Its back-off is no excuse."""
    tale, _ = shared()
    tale.failed("a", at=20.0, retry_after=60.0)
    tale.miss("b", at=30.0, reason="ISSUER_UNAVAILABLE", retry_after=50.2)
    assert tale.broken() == ["H10"]


def test_h10_a_failure_after_everything_was_healed() -> None:
    """The fault was over at 2, and 8 s later nothing is left to wait for."""
    tale, _ = shared()
    tale.fault("redis killed", 1.0, 2.0, "redis-1", crash=True)
    tale.miss("b", at=9.9)
    assert check(tale.history) == []
    tale.miss("b", at=10.1)
    assert tale.broken() == ["H10"]


def test_h10_a_get_that_times_out_after_everything_was_healed() -> None:
    """Ten seconds were plenty."""
    tale, _ = shared()
    tale.fault("stop", 1.0, 2.0, "a", stall=True)
    tale.miss("b", at=11.0, status="DEADLINE_EXCEEDED", took=10.0, reason="WAIT_TIMED_OUT")
    assert tale.broken() == ["H10"]


def test_h10_a_back_off_outlasts_its_fault() -> None:
    """The issuer had asked for a minute."""
    tale, made = shared()
    tale.fault("429", 1.0, 2.0)
    tale.failed("a", at=1.5, retry_after=60.0)
    tale.miss("b", at=30.0, status="RESOURCE_EXHAUSTED", reason="ISSUER_THROTTLED", retry_after=31.7)
    tale.get("a", made, at=40.0)
    assert check(tale.history) == []
    tale.miss("b", at=62.5, status="RESOURCE_EXHAUSTED", reason="ISSUER_THROTTLED", retry_after=1.0)
    assert tale.broken() == ["H10"]


def test_h10_the_others_heal_though_one_replica_never_comes_back() -> None:
    """Its loss is no excuse for them."""
    tale, _ = shared()
    tale.fault("kill", 1.0, math.inf, "c", crash=True)
    tale.miss("b", at=20.0)
    assert tale.broken() == ["H10"]


def test_h10_does_not_ask_for_the_impossible() -> None:
    """A get with too little time to outlast a lease, a replica that never came back, a caller that hung up."""
    tale, _ = shared()
    tale.fault("kill", 1.0, math.inf, "c", crash=True)
    tale.fault("kill", 1.0, 2.0, "a", crash=True)
    tale.miss("c", at=20.0, reason="", retry_after=None)
    tale.miss("b", at=20.0, status="CANCELLED", reason="", retry_after=None)
    tale.miss("b", at=20.0, status="DEADLINE_EXCEEDED", took=1.0, reason="WAIT_TIMED_OUT")
    tale.history.calls[-1] = replace(tale.history.calls[-1], deadline=1.0)
    assert check(tale.history) == []
