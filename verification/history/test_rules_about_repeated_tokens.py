"""An issuer that hands out the same token again, on made-up histories."""

from dataclasses import replace

from history.checker import check
from history.law import generations, law
from history.story import stories
from history.tale import Made, Tale


def given_again() -> tuple[Tale, Made, Made]:
    """A token that was rejected at 10.00, and that the issuer gave once more at 10.11."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("b", old, at=1.0)
    tale.reject("a", old, at=10.0)
    return tale, old, tale.reissued("a", old, at=10.1)


def test_a_rejected_token_that_the_issuer_gives_again_is_served_degraded() -> None:
    """The issuer stands by it."""
    tale, _, again = given_again()
    tale.get("a", again, at=10.4, degraded=True)
    tale.get("c", again, at=20.0, degraded=True)
    assert check(tale.history) == []


def test_h6_it_must_be_marked() -> None:
    """At every replica."""
    tale, _, again = given_again()
    tale.get("c", again, at=20.0)
    assert tale.broken() == ["H6"]


def test_h6_the_mark_may_be_missing_while_the_store_is_away() -> None:
    """A replica that mints alone cannot know what was rejected."""
    tale, _, again = given_again()
    tale.fault("cut off", 10.2, 30.0, "c", outage=True)
    tale.get("c", again, at=20.0)
    assert check(tale.history) == []


def test_h6_a_rejected_text_that_the_issuer_did_not_give_again() -> None:
    """It came back under a new number by itself."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("b", old, at=1.0)
    tale.reject("a", old, at=10.0)
    new = tale.mint("a", at=10.1)
    tale.get("a", new, at=10.4)
    tale.get("b", replace(old, generation=new.generation + 1), at=20.0, degraded=True)
    assert tale.broken() == ["H1", "H3", "H6"]


def test_h6_a_text_that_was_not_current_when_rejected_is_no_news() -> None:
    """The rejection had no effect, so nothing was promised of the text."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("a", old, at=1.0)
    again = tale.reissued("a", old, at=92.0)
    tale.reject("a", old, at=93.0, was_current=False)
    tale.get("a", again, at=94.0)
    assert check(tale.history) == []


def test_h3_as_many_numbers_as_the_issuer_gave_it() -> None:
    """A third one came from nowhere."""
    tale, _, again = given_again()
    tale.get("a", again, at=10.4, degraded=True)
    tale.get("a", replace(again, generation=again.generation + 1), at=12.0, degraded=True)
    assert tale.broken() == ["H3"]


def test_h2_a_repeated_token_is_no_generation_that_explains_a_post() -> None:
    """One generation, one POST without a new token, and nothing for a stray."""
    tale, old, again = given_again()
    tale.get("a", again, at=10.4, degraded=True)
    (story,) = stories(tale.history)
    assert generations(story) == {old.generation}
    assert (law(story).generations, law(story).fails) == (1, 1)


def test_h16_a_repeated_token_that_is_requested_on_and_on() -> None:
    """One rejection, and a POST each second."""
    tale, old, again = given_again()
    tale.get("a", again, at=10.4, degraded=True)
    for second in range(11, 16):
        again = tale.reissued("b", old, at=float(second))
    assert "H16" in tale.broken()


def test_h8_an_issuer_that_repeats_its_token_is_left_alone_until_that_ends() -> None:
    """At 92 it gave the one that lives until 100; the next POST is due then."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("a", old, at=1.0)
    tale.repeated("a", old, at=92.0)
    tale.get("a", tale.mint("a", at=99.8), at=100.2)
    assert check(tale.history) == []
    tale.repeated("b", old, at=95.0)
    assert tale.broken() == ["H8"]


def test_h8_a_rejection_ends_that_wait() -> None:
    """The reason for it is gone."""
    tale = Tale()
    old = tale.mint("a", at=0.0)
    tale.get("a", old, at=1.0)
    tale.repeated("a", old, at=92.0)
    tale.reject("a", old, at=94.0)
    tale.get("a", tale.mint("a", at=94.1), at=94.5)
    assert check(tale.history) == []
