"""Connections that make too many calls that lead to nothing are closed; others are not."""

from collections.abc import Collection

import pytest

from mintonce_server.calls.admission import FEW, GONE, MAX_PEERS, MAX_PER_PERIOD, PERIOD, WastedCalls
from support.clocks import ManualClock

PER_SECOND = 200


class Closed(list[set[str]]):
    """Which peers were closed, one set for each time."""

    def close(self, peers: Collection[str]) -> Collection[str]:
        self.append(set(peers))
        return {peer for peer in peers if not peer.startswith("unix")}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def closed() -> Closed:
    return Closed()


@pytest.fixture
def wasted(clock: ManualClock, closed: Closed) -> WastedCalls:
    return WastedCalls(PER_SECOND, clock, closed.close)


def test_when_all_together_waste_too_many_those_go_that_waste_many(wasted: WastedCalls, closed: Closed) -> None:
    """A client with a wrong key, which calls now and then, still learns what is wrong."""
    for number in range(PER_SECOND):
        wasted.note(f"small-{number}")
    assert not closed
    for _ in range(FEW - 1):
        wasted.note("flooder")
    assert not closed
    wasted.note("flooder")
    assert closed == [{"flooder"}]


def test_all_that_waste_many_go_at_once(wasted: WastedCalls, closed: Closed) -> None:
    """Each costs those who are known some time."""
    for _ in range(FEW):
        for number in range(PER_SECOND // FEW):
            wasted.note(f"flooder-{number}")
    wasted.note("flooder-0")
    assert closed == [{f"flooder-{number}" for number in range(PER_SECOND // FEW)}]


def test_a_second_later_all_counts_are_zero(wasted: WastedCalls, closed: Closed, clock: ManualClock) -> None:
    """Below the limit, no connection is closed for a while."""
    for _ in range(4):
        for _ in range(PER_SECOND):
            wasted.note("steady")
        clock.advance(1.0)
    assert not closed


def test_a_thousand_within_ten_seconds_end_a_connection_in_any_case(
    wasted: WastedCalls, closed: Closed, clock: ManualClock
) -> None:
    """As those do that reset their streams by the thousand."""
    for number in range(MAX_PER_PERIOD):
        assert not closed
        wasted.note("resetter")
        if number % (PER_SECOND // 2) == 0:
            clock.advance(0.9 * PERIOD * PER_SECOND / 2 / MAX_PER_PERIOD)
    assert closed == [{"resetter"}]


def test_what_is_remembered_is_bounded(wasted: WastedCalls, clock: ManualClock) -> None:
    """Connections are cheap."""
    for number in range(50_000):
        wasted.note(f"peer-{number}")
    assert len(wasted._in_period) <= MAX_PEERS + 1
    assert len(wasted._in_second) <= MAX_PEERS + 1
    clock.advance(PERIOD)
    wasted.note("one more")
    assert len(wasted._in_period) == len(wasted._in_second) == 1


def test_calls_that_a_closed_connection_left_behind_are_known(
    wasted: WastedCalls, closed: Closed, clock: ManualClock
) -> None:
    """For a moment: its port may be another's soon. What could not be closed is not gone."""
    for peer in ("ipv4:192.0.2.1:1", "unix:"):
        for _ in range(PER_SECOND + FEW):
            wasted.note(peer)
    assert {peer for peers in closed for peer in peers} == {"ipv4:192.0.2.1:1", "unix:"}
    assert wasted.is_gone("ipv4:192.0.2.1:1")
    assert not wasted.is_gone("unix:")
    clock.advance(GONE)
    assert not wasted.is_gone("ipv4:192.0.2.1:1")
