"""Log lines that callers cause come at a bounded rate."""

from mintonce_server.observability import quiet as module
from mintonce_server.observability.quiet import AT_ONCE, Quiet, Reminder
from support.clocks import ManualClock


def told(quiet: Quiet, kind: str, count: int) -> list[int]:
    """For each line that is written, how many it says were left out."""
    return [left_out for _ in range(count) if (left_out := quiet.more(kind)) is not None]


def test_some_lines_at_once_and_then_one_a_second() -> None:
    """The next one says how many are missing."""
    clock = ManualClock()
    quiet = Quiet(clock)
    assert told(quiet, "a", 1000) == [0] * AT_ONCE
    clock.advance(1.0)
    assert told(quiet, "a", 1000) == [1000 - AT_ONCE]


def test_kinds_are_bounded_apart_and_their_number_is_bounded() -> None:
    """A flood of one kind does not hide the others."""
    quiet = Quiet(ManualClock())
    told(quiet, "flood", 1000)
    assert told(quiet, "other", 1) == [0]
    for number in range(3 * module.MOST_KINDS):
        told(quiet, f"kind {number}", 1)
    assert len(quiet._kinds) <= module.MOST_KINDS


def test_a_trouble_that_lasts_is_said_once_a_minute() -> None:
    """And at once when it changes, or comes back."""
    clock = ManualClock()
    reminder = Reminder(clock)
    assert [reminder.is_due("full") for _ in range(3)] == [True, False, False]
    clock.advance(59.0)
    assert not reminder.is_due("full")
    clock.advance(1.0)
    assert reminder.is_due("full")
    assert reminder.is_due("a folder")
    reminder.over()
    assert reminder.is_due("a folder")
