"""Guessing a proof of identity costs the address that guesses, and no other one."""

import pytest

from mintonce_server.core.errors import LimitExceeded
from mintonce_server.web.token_endpoint.failed_proofs import BURST, MAX_ADDRESSES, FailedProofs
from support.clocks import ManualClock


def fail(proofs: FailedProofs, times: int, address: str = "192.0.2.1") -> None:
    for _ in range(times):
        proofs.require_room(address)
        proofs.note(address)


def test_after_five_seconds_worth_of_failures_an_address_must_wait() -> None:
    """Some libraries try each secret twice, and a fleet starts at once: the first ones are free."""
    proofs = FailedProofs(10.0, ManualClock())
    fail(proofs, BURST * 10)
    with pytest.raises(LimitExceeded) as caught:
        proofs.require_room("192.0.2.1")
    assert caught.value.retry_after == pytest.approx(0.1)
    proofs.require_room("192.0.2.2")


def test_room_comes_back_at_the_rate() -> None:
    """One failure each tenth of a second, for ever; and after five seconds all at once again."""
    clock = ManualClock()
    proofs = FailedProofs(10.0, clock)
    fail(proofs, BURST * 10)
    for _ in range(3):
        clock.advance(0.101)
        fail(proofs, 1)
        with pytest.raises(LimitExceeded):
            proofs.require_room("192.0.2.1")
    clock.advance(BURST)
    fail(proofs, BURST * 10)


def test_valid_proofs_cost_nothing() -> None:
    """Only failures are noted: an address with many callers is not limited."""
    proofs = FailedProofs(1.0, ManualClock())
    for _ in range(1000):
        proofs.require_room("192.0.2.1")


def test_zero_is_no_limit() -> None:
    """Where one proxy brings all callers."""
    fail(FailedProofs(0.0, ManualClock()), 1000)


def test_a_low_rate_still_lets_a_mistake_be_seen() -> None:
    """The first failure is answered for what it is."""
    proofs = FailedProofs(0.01, ManualClock())
    fail(proofs, 1)
    with pytest.raises(LimitExceeded) as caught:
        proofs.require_room("192.0.2.1")
    assert caught.value.retry_after == pytest.approx(100.0)


def test_the_number_of_addresses_is_bounded() -> None:
    """The one that has been quiet longest is forgotten, not the one that guesses now."""
    proofs = FailedProofs(1.0, ManualClock())
    fail(proofs, 5, "the first")
    for number in range(MAX_ADDRESSES - 1):
        proofs.note(str(number))
        if number % 1000 == 0:
            proofs.note("the first")
    with pytest.raises(LimitExceeded):
        proofs.require_room("the first")
    for number in range(MAX_ADDRESSES):
        proofs.note(f"more {number}")
    proofs.require_room("the first")
    assert len(proofs._buckets) == MAX_ADDRESSES
