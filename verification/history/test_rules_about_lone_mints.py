"""Tokens that were minted without the store, on made-up histories: two numbers, one token."""

from dataclasses import replace

from history.checker import check, figures
from history.law import generations, law
from history.story import stories
from history.tale import Made, Tale


def minted_alone() -> tuple[Tale, Made, Made]:
    """The store was away from 10 to 14. Replica a minted alone at 11; the store gave that token a number at 15."""
    tale = Tale()
    tale.fault("store stopped", 10.0, 14.0, "redis-1", stall=True)
    alone = tale.alone("a", at=11.0)
    tale.get("a", alone, at=11.3, degraded=True)
    adopted = tale.adopted("a", alone, at=15.0)
    return tale, alone, adopted


def test_one_token_may_have_a_provisional_number_and_one_of_the_store() -> None:
    """Callers get the same text under both, one after the other."""
    tale, _, adopted = minted_alone()
    tale.get("a", adopted, at=16.0)
    tale.get("b", adopted, at=21.0)
    assert check(tale.history) == []


def test_it_counts_as_one_generation() -> None:
    """In the mint law and in the figures: a second number must not explain a second POST."""
    tale, _, adopted = minted_alone()
    tale.get("b", adopted, at=21.0)
    (story,) = stories(tale.history)
    assert generations(story) == {adopted.generation}
    assert law(story).generations == 1
    assert figures(tale.history).generations == 1


def test_callers_know_of_an_adoption_that_the_log_does_not_tell_of() -> None:
    """The store's answer was lost, so the replica found its own token in the store."""
    tale, alone, adopted = minted_alone()
    tale.history.steps.pop()
    tale.get("b", adopted, at=21.0)
    (story,) = stories(tale.history)
    assert story.number(alone.generation) == adopted.generation


def test_h3_two_numbers_of_the_store_for_one_token() -> None:
    """The provisional one is no excuse for both."""
    tale, _, adopted = minted_alone()
    tale.get("a", adopted, at=16.0)
    tale.get("b", replace(adopted, generation=adopted.generation + 7), at=22.0)
    assert tale.broken() == ["H3"]


def test_h3_an_adopted_number_that_goes_back() -> None:
    """The store gave a number below one that it had committed long before."""
    tale, alone, _ = minted_alone()
    tale.history.steps.pop()
    tale.get("b", tale.mint("b", at=50.0, generation=90_000), at=51.0)
    tale.get("a", tale.adopted("a", alone, at=60.0, generation=80_000), at=61.0)
    assert "H3" in tale.broken()


def test_h2_each_replica_alone_once_and_no_more() -> None:
    """Adoptions explain no POSTs: the fourth lone mint of three replicas is one too many."""
    tale = Tale()
    tale.get("a", tale.mint("a", at=0.0, life=8.0), at=1.0)
    tale.fault("store stopped", 10.0, 14.0, "redis-1", stall=True)
    for number, replica in enumerate("abc"):
        tale.adopted(replica, tale.alone(replica, at=11.0 + number / 10), at=15.0 + number)
    assert check(tale.history) == []
    for number in range(3):
        tale.post(13.0 + number / 10, f"extra-{number}")
    assert check(tale.history) == []
    tale.post(13.5, "one more")
    assert tale.broken() == ["H2"]


def test_h6_a_rejection_by_the_provisional_number_covers_the_token() -> None:
    """Whichever number callers see it under afterwards."""
    tale, alone, adopted = minted_alone()
    tale.reject("a", alone, at=16.0)
    tale.get("a", tale.mint("a", at=16.1, generation=adopted.generation + 1), at=16.5)
    assert check(tale.history) == []
    tale.get("b", adopted, at=22.5)
    assert tale.broken() == ["H6"]


def test_h6_the_rejected_token_itself_must_go_under_its_provisional_number() -> None:
    """At the replica that took the rejection."""
    tale, alone, adopted = minted_alone()
    tale.reject("a", adopted, at=16.0)
    tale.get("a", alone, at=16.5)
    assert tale.broken() == ["H6"]


def test_h6_a_provisional_number_has_no_place_in_the_order() -> None:
    """Replica b serves what it minted alone, under a lower number than the rejected one: that says nothing."""
    tale, _, adopted = minted_alone()
    mine = tale.alone("b", at=12.0, generation=adopted.generation - 5_000)
    tale.reject("a", adopted, at=16.0)
    tale.get("a", tale.mint("a", at=16.1, generation=adopted.generation + 1), at=16.5)
    tale.get("b", mine, at=22.5)
    assert check(tale.history) == []


def test_h7_both_numbers_are_one_rejected_token() -> None:
    """Callers that name one and callers that name the other cause one POST together."""
    tale, alone, adopted = minted_alone()
    tale.reject("a", alone, at=30.0)
    tale.get("a", tale.mint("a", at=30.1, generation=adopted.generation + 1), at=30.5)
    tale.reject("b", adopted, at=30.5)
    assert check(tale.history) == []
    tale.get("b", tale.mint("b", at=30.6, generation=adopted.generation + 2), at=31.0)
    assert tale.broken() == ["H16", "H7"]
