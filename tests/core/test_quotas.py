"""One caller's share, so that the others keep theirs."""

import pytest

from mintonce_server.core import limits
from mintonce_server.core.errors import LimitExceeded
from mintonce_server.core.limits import QuotaOptions, Quotas
from support.clocks import ManualClock

OPTIONS = QuotaOptions(
    mints_per_second=2.0, mint_burst=3, rejects_per_second=1.0, reject_burst=1,
    max_watches_per_caller=2, max_calls_per_caller=1, anonymous_callers=10,
)  # fmt: skip


def made() -> tuple[Quotas, ManualClock]:
    clock = ManualClock()
    return Quotas(OPTIONS, clock), clock


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    """What is refused says when to come back, and then it is so."""
    shares, clock = made()
    for _ in range(3):
        shares.take_mint("a")
    with pytest.raises(LimitExceeded) as caught:
        shares.take_mint("a")
    assert caught.value.retry_after == pytest.approx(0.5)

    clock.advance(caught.value.retry_after or 0.0)
    shares.take_mint("a")
    with pytest.raises(LimitExceeded):
        shares.take_mint("a")


def test_a_long_rest_fills_no_more_than_the_burst() -> None:
    """Unused quota does not add up to a flood."""
    shares, clock = made()
    clock.advance(1e6)
    for _ in range(3):
        shares.take_mint("a")
    with pytest.raises(LimitExceeded):
        shares.take_mint("a")


def test_others_have_their_own() -> None:
    """And rejections another one than mints."""
    shares, _ = made()
    for _ in range(3):
        shares.take_mint("a")
    shares.take_mint("b")
    shares.take_reject("a")
    with pytest.raises(LimitExceeded):
        shares.take_reject("a")


def test_calls_and_watches_at_a_time() -> None:
    """One that ends makes room, however it ends."""
    shares, _ = made()
    with shares.calling("a"), shares.watching("a"), shares.watching("a"):
        with pytest.raises(LimitExceeded), shares.calling("a"):
            pass
        with pytest.raises(LimitExceeded), shares.watching("a"):
            pass
        with shares.calling("b"):
            pass
    with pytest.raises(KeyError), shares.calling("a"):
        raise KeyError
    with shares.calling("a"):
        pass


def test_what_is_remembered_is_bounded_and_no_caller_gains_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers whose share is whole again are forgotten first; one that used it up is not."""
    monkeypatch.setattr(limits, "CALLERS_REMEMBERED", 100)
    shares, clock = made()
    for _ in range(3):
        shares.take_mint("greedy")
    for number in range(1000):
        with shares.calling(f"caller-{number}"):
            pass
    assert len(shares._shares) <= 101
    with pytest.raises(LimitExceeded):
        shares.take_mint("greedy")
    clock.advance(10.0)
    shares.take_mint("greedy")


def test_a_crowd_of_callers_costs_each_new_one_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many who cannot be forgotten just now, each call looks at a few; all have their turn, and then they go."""
    monkeypatch.setattr(limits, "CALLERS_REMEMBERED", 100)
    shares, clock = made()
    for number in range(200):
        shares.take_reject(f"caller-{number}")
    assert len(shares._shares) == 200

    looked: list[object] = []
    unused = limits._Share.is_unused

    def look(share: limits._Share, now: float) -> bool:
        looked.append(share)
        return unused(share, now)

    monkeypatch.setattr(limits._Share, "is_unused", look)
    shares.take_mint("one more")
    assert 0 < len(looked) <= limits.LOOKED_AT

    clock.advance(10.0)
    for number in range(20):
        shares.take_mint(f"later-{number}")
    assert len(shares._shares) <= 100 + limits.LOOKED_AT


def test_a_caller_that_has_a_watch_open_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the crowd would give it a second share."""
    monkeypatch.setattr(limits, "CALLERS_REMEMBERED", 10)
    shares, clock = made()
    with shares.watching("a"), shares.watching("a"):
        for number in range(100):
            shares.take_mint(f"caller-{number}")
            clock.advance(10.0)
        with pytest.raises(LimitExceeded), shares.watching("a"):
            pass
