"""H6, H7, H16 on made-up histories: what must be reported, and what is legal though it looks alike."""

from dataclasses import replace

from history.checker import check
from history.tale import Made, Tale


def rejected_at_ten() -> tuple[Tale, Made]:
    """A token that replica `a` was told to be refused, at 10.00; acknowledged at 10.01. Its successor is there."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("b", old, at=1.0)
    tale.reject("a", old, at=10.0)
    tale.get("a", tale.mint("a", at=10.1), at=10.1, took=0.3, origin="MINT")
    return tale, old


def test_a_rejection_that_did_what_it_should() -> None:
    """The replica that was told stops at once, another one within the bound."""
    tale, old = rejected_at_ten()
    tale.get("b", old, at=14.0)
    assert check(tale.history) == []


def test_h6_the_replica_that_was_told_serves_it_again() -> None:
    """However soon."""
    tale, old = rejected_at_ten()
    tale.get("a", old, at=10.02)
    assert tale.broken() == ["H6"]


def test_h6_a_call_that_began_before_the_acknowledgement_may_still_get_it() -> None:
    """Either order of the two is legal."""
    tale, old = rejected_at_ten()
    tale.get("a", old, at=10.005, took=0.1)
    assert check(tale.history) == []


def test_h6_another_replica_serves_it_after_the_bound() -> None:
    """5 s of revalidation and half a second of slack are over."""
    tale, old = rejected_at_ten()
    tale.get("b", old, at=15.6)
    assert tale.broken() == ["H6"]


def test_h6_a_watch_is_given_it_after_the_acknowledgement() -> None:
    """A message may have been under way; not so long."""
    tale, old = rejected_at_ten()
    tale.watched("a", old, at=10.3)
    assert check(tale.history) == []
    tale.watched("a", old, at=10.8)
    assert tale.broken() == ["H6"]


def test_h6_an_outage_puts_the_bound_off() -> None:
    """A replica that is cut off serves what it has; when the store is back, the bound starts again."""
    tale, old = rejected_at_ten()
    tale.fault("cut off", 11.0, 30.0, "b", outage=True)
    tale.get("b", old, at=34.0, degraded=True)
    assert check(tale.history) == []
    tale.get("b", old, at=42.0)
    assert "H6" in tale.broken()


def test_h6_an_outage_of_another_replica_excuses_nothing() -> None:
    """It is `c` that was cut off, and `b` that serves it."""
    tale, old = rejected_at_ten()
    tale.fault("cut off", 11.0, 30.0, "c", outage=True)
    tale.get("b", old, at=34.0)
    assert tale.broken() == ["H6"]


def test_h6_an_outage_after_the_bound_excuses_nothing() -> None:
    """Everybody had been asked to let it go by then."""
    tale, old = rejected_at_ten()
    tale.fault("redis killed", 20.0, 30.0, outage=True)
    tale.get("b", old, at=25.0)
    assert tale.broken() == ["H6"]


def test_h6_a_failover_may_lose_the_rejection() -> None:
    """Elsewhere, not where it was acknowledged: that replica remembers."""
    tale, old = rejected_at_ten()
    tale.fault("failover", 10.5, 11.0, "redis-1", lossy=True)
    tale.get("b", old, at=40.0)
    assert check(tale.history) == []
    tale.get("a", old, at=40.0)
    assert tale.broken() == ["H6"]


def test_h6_a_replica_that_was_killed_remembers_nothing() -> None:
    """It may serve what a lossy store shows it; not what a store shows that lost nothing."""
    tale, old = rejected_at_ten()
    tale.fault("kill", 11.0, 12.0, "a", crash=True)
    tale.get("a", old, at=20.0)
    assert tale.broken() == ["H6"]
    tale.fault("failover", 10.5, 11.0, "redis-1", lossy=True)
    assert check(tale.history) == []


def test_h7_many_callers_reject_and_one_mint_follows() -> None:
    """A storm, and one POST."""
    tale, old = rejected_at_ten()
    for number in range(20):
        tale.reject("abc"[number % 3], old, at=10.0 + number / 50)
    assert check(tale.history) == []


def test_h7_a_duplicate_forces_a_second_mint() -> None:
    """The second POST has no other cause."""
    tale, old = rejected_at_ten()
    tale.reject("b", old, at=10.4)
    tale.get("b", tale.mint("b", at=10.5), at=11.0)
    assert tale.broken() == ["H16", "H7"]


def test_h7_a_duplicate_whose_answer_was_lost_counts_too() -> None:
    """It may have taken effect."""
    tale, old = rejected_at_ten()
    tale.reject("b", old, at=10.4, status="UNAVAILABLE")
    tale.get("b", tale.mint("b", at=10.5), at=11.0)
    assert tale.broken() == ["H16", "H7"]


def test_h7_a_crash_has_a_second_mint_of_its_own() -> None:
    """The holder of the forced mint was killed."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("b", old, at=1.0)
    tale.reject("a", old, at=10.0)
    tale.started("a", at=10.1)
    tale.fault("kill", 10.2, 11.0, "a", crash=True)
    tale.reject("b", old, at=12.0)
    tale.get("b", tale.mint("b", at=13.2), at=14.0)
    assert check(tale.history) == []


def test_h7_the_new_tokens_own_end_has_a_mint_of_its_own() -> None:
    """The successor was short-lived, and its time had come; a caller rejected the first one once more."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("b", old, at=1.0)
    tale.reject("a", old, at=10.0)
    short = tale.mint("a", at=10.1, life=8.0)
    tale.get("a", short, at=10.4)
    tale.get("a", tale.mint("a", at=17.5), at=18.0)
    tale.reject("a", old, at=18.0)
    assert check(tale.history) == []


def test_h7_a_rotation_has_a_mint_of_its_own() -> None:
    """An operator asked for it."""
    tale, old = rejected_at_ten()
    tale.reject("b", old, at=10.4)
    new = tale.mint("b", at=10.5)
    rotation = replace(tale.get("b", new, at=10.5, took=0.3), op="rotate", jti="", aud="")
    tale.history.calls[-1] = rotation
    tale.get("c", new, at=12.0)
    assert check(tale.history) == []


def test_h7_two_generations_rejected_too_soon_after_each_other() -> None:
    """A loop."""
    tale = Tale()
    first = tale.mint("a", at=0.0)
    tale.get("a", first, at=1.0)
    tale.reject("a", first, at=10.0)
    second = tale.mint("a", at=10.1)
    tale.get("a", second, at=10.5)
    tale.reject("a", second, at=35.0)
    tale.get("a", tale.mint("a", at=35.1), at=36.0)
    assert tale.broken() == ["H16", "H7"]


def test_h7_two_generations_rejected_half_a_minute_apart() -> None:
    """As promised, and one that was not current counts for nothing."""
    tale = Tale()
    first = tale.mint("a", at=0.0)
    tale.get("a", first, at=1.0)
    tale.reject("a", first, at=10.0)
    second = tale.mint("a", at=10.1)
    tale.get("a", second, at=10.5)
    tale.reject("b", first, at=20.0, was_current=False)
    tale.reject("a", second, at=40.0)
    tale.get("a", tale.mint("a", at=40.1), at=41.0)
    assert check(tale.history) == []


def test_h6_an_older_token_was_not_rejected_with_one_that_is_not_current() -> None:
    """Replica b has not heard of either; it learns of the newest by itself."""
    tale = Tale()
    old, middle = tale.mint("a", at=0.0), tale.mint("a", at=92.0)
    tale.get("a", middle, at=92.5)
    tale.reject("b", middle, at=93.0, was_current=False)
    tale.get("b", old, at=93.1)
    assert check(tale.history) == []
    tale.get("b", middle, at=93.2)
    assert tale.broken() == ["H6"]


def test_h16_a_rejection_of_what_never_was_causes_a_mint() -> None:
    """The replica believed the caller's number, and a good token went."""
    tale = Tale()
    good = tale.mint("a", at=0.0)
    tale.get("a", good, at=1.0)
    tale.reject("b", replace(good, generation=2**62), at=10.0, status="INVALID_ARGUMENT")
    tale.get("a", tale.mint("a", at=10.1), at=10.4)
    assert check(tale.history) == []  # a new token for any reason of the replica's own is H1's matter
    tale.get("b", tale.mint("b", at=10.6), at=11.0)
    assert tale.broken() == ["H16"]


def test_h16_a_refused_rejection_may_stand_beside_one_mint() -> None:
    """That one was due."""
    tale = Tale()
    good = tale.mint("a", at=0.0)
    tale.get("a", good, at=1.0)
    tale.reject("b", replace(good, generation=2**53), at=91.0, status="INVALID_ARGUMENT")
    tale.get("a", tale.mint("a", at=92.0), at=93.0)
    assert check(tale.history) == []


def test_h16_replicas_reject_each_others_tokens() -> None:
    """One honest rejection, and a POST each quarter of a second: none of the new tokens was rejected by a caller."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("b", old, at=1.0)
    tale.reject("a", old, at=10.0)
    for number in range(20):
        tale.get("ab"[number % 2], tale.mint("ab"[number % 2], at=10.1 + number / 4), at=10.32 + number / 4)
    assert tale.broken() == ["H16", "H7"]


def test_h16_a_rejection_that_counted_before_may_have_its_mint_late() -> None:
    """No caller asked until 39.9, and the next rejection may count from 40 on."""
    tale = Tale()
    first = tale.mint("a", at=0.0)
    tale.get("a", first, at=1.0)
    tale.reject("a", first, at=10.0)
    tale.reject("b", replace(first, generation=2**62), at=39.0, status="INVALID_ARGUMENT")
    second = tale.mint("a", at=39.5)
    tale.get("a", second, at=39.8)
    tale.reject("a", second, at=40.1)
    tale.get("a", tale.mint("a", at=40.2), at=40.5)
    assert check(tale.history) == []
