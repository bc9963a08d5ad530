"""One caller's share, so that the others keep theirs."""

import pytest

from mintonce_server.core import quotas
from mintonce_server.core.errors import LimitExceeded
from mintonce_server.core.quotas import QuotaOptions, Quotas
from support.clocks import ManualClock

OPTIONS = QuotaOptions(
    mints_per_second=2.0, mint_burst=3, rejects_per_second=1.0, reject_burst=1,
    max_watches_per_caller=2, max_calls_per_caller=1,
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
    """Nobody saves up for a flood."""
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


def test_what_is_remembered_is_bounded_and_nobody_gains_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers whose share is whole again are forgotten first; one that used it up is not."""
    monkeypatch.setattr(quotas, "CALLERS_REMEMBERED", 100)
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
