"""Durations as people write them."""

import argparse

import pytest

from mintonce.cli._arguments import duration, positive_duration, shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("1.5", 1.5), ("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25), ("2d", 172800.0)],
)
def test_what_is_accepted(text: str, seconds: float) -> None:
    """A number of seconds, or numbers with units."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 m", "-5", "5m!", "m5", "5y"])
def test_what_is_not(text: str) -> None:
    """The error shows how to write it."""
    with pytest.raises(argparse.ArgumentTypeError, match="write 90"):
        duration(text)


def test_a_time_out_of_nothing_is_refused() -> None:
    """No call can succeed in it."""
    with pytest.raises(argparse.ArgumentTypeError, match="more than 0"):
        positive_duration("0s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1.0, "0s"), (0.9, "0s"), (59.9, "59s"), (60.0, "1m0s"), (86399.0, "23h59m"), (90061.0, "1d1h")],
)
def test_how_they_are_shown(seconds: float, text: str) -> None:
    """The two largest units, rounded down."""
    assert shown(seconds) == text
