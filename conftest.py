"""For every test: no task is left behind, and the report says how many slow tests were left out."""

from collections.abc import Sequence
from typing import Final, Protocol

import pytest

from support.leftovers import no_task_is_left_behind

__all__ = ["no_task_is_left_behind"]

NOT_SLOW: Final = "not slow"
LEFT_OUT: Final = "slow_tests_left_out"
_left_out = pytest.StashKey[int]()


class _Worker(Protocol):
    """What is used of a worker of pytest-xdist."""

    workeroutput: dict[str, int]


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Counts slow tests that `-m "not slow"` leaves out. With pytest-xdist, every worker collects all tests."""
    for item in items:
        if item.get_closest_marker("slow") and NOT_SLOW in str(item.config.getoption("markexpr")):
            item.config.stash[_left_out] = item.config.stash.get(_left_out, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist reports to the process that prints."""
    output: dict[str, int] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[LEFT_OUT] = session.config.stash.get(_left_out, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: "_Worker") -> None:
    """A hook of pytest-xdist: all workers count the same tests."""
    config: pytest.Config = getattr(node, "config")  # noqa: B009 - xdist has no types
    config.stash[_left_out] = getattr(node, "workeroutput", {}).get(LEFT_OUT, 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names what was left out, and how to run it."""
    if count := config.stash.get(_left_out, 0):
        terminalreporter.write_line(f"left out: {count} slow tests (make test-all runs them)")
