"""How what was measured is read and written down."""

import pytest

from bench.figures import Figures, Ratio
from bench.fleet.bursts import Round
from bench.fleet.listener import commit_in
from bench.fleet.measure import Lags
from bench.load import seconds_of
from bench.table import duration

H2LOAD = """\
finished in 1.50s, 66.67 req/s, 40KB/s
requests: 100 total, 100 started, 100 done, {succeeded} succeeded, 0 failed, 0 errored, 0 timeout
status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 95.31KB (97600) total, 1.56KB (1600) headers (space savings 90%), 92.77KB ({data}) data
"""


def test_h2load_report_gives_the_seconds() -> None:
    """The time that all calls took is read from h2load's report."""
    assert seconds_of(H2LOAD.format(succeeded=100, data=95000), calls=100, least_bytes=900) == 1.5


@pytest.mark.parametrize(
    ("succeeded", "data"), [(99, 95000), (100, 500)], ids=["a call failed", "answers without a token"]
)
def test_calls_without_their_answer_do_not_count(succeeded: int, data: int) -> None:
    """An HTTP 200 may carry a gRPC error: what is too short for an answer ends the run."""
    with pytest.raises(RuntimeError, match="not every call"):
        seconds_of(H2LOAD.format(succeeded=succeeded, data=data), calls=100, least_bytes=900)


def test_ratio_is_of_rounds_side_by_side() -> None:
    """A round in which all was slow does not change the ratio."""
    assert str(Ratio.of([1.1, 22.0, 1.2], [1.0, 20.0, 1.0])) == "1.10 (1.10 to 1.20)"


def test_percentile_is_a_latency_that_was_seen() -> None:
    """p99 of 1 to 100 is 99: that many of a hundred do not exceed it."""
    assert Figures(latencies=[float(n) for n in range(100, 0, -1)]).percentile(99) == 99.0


def test_durations_have_three_digits_or_so() -> None:
    """People compare units and a few digits."""
    assert [duration(x) for x in (41e-9, 4.12e-6, 312e-6, 4.1e-3, 2.5)] == [
        "41 ns",
        "4.1 µs",
        "312 µs",
        "4.1 ms",
        "2.50 s",
    ]


def test_lags_are_counted_from_the_commit() -> None:
    """A round's answers are reckoned from its own generation's commit, in the order in which they came."""
    lags = Lags.of([Round(7, [10.5, 10.25], asked=9.0), Round(8, [21.0, 20.5], asked=19.0)], {7: 10.0, 8: 20.0})
    assert lags.rounds == [[0.25, 0.5], [0.5, 1.0]]
    assert (lags.first(), lags.percentile(50), lags.percentile(99)) == (0.375, 0.5, 1.0)


def test_a_late_listener_does_not_shorten_the_lags() -> None:
    """Nobody can have a token before its commit: if the listener says so, it was the listener who was late."""
    assert Lags.of([Round(7, [10.0, 10.5], asked=9.0)], {7: 10.25}).rounds == [[0.0, 0.5]]


@pytest.mark.parametrize(
    ("message", "generation"),
    [
        (b"commit 0123abcd 1700000000000", 1_700_000_000_000),
        (b"1 commit 0123abcd 1700000000000", 1_700_000_000_000),
        (b"2 commit 0123abcd 1700000000000 89abcdef", 1_700_000_000_000),
        (b"release - 3", 3),
        (b"1 reject 0123abcd 1700000000000", None),
        (1, None),
    ],
    ids=[
        "of the first release",
        "with a version",
        "with a MAC",
        "of a floor server",
        "of something else",
        "a subscription",
    ],
)
def test_commits_are_told_from_other_messages(message: object, generation: int | None) -> None:
    """The listener writes down commits and releases only."""
    assert commit_in(message) == generation
