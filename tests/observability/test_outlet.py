"""A log whose reader stands still costs lines, and never time."""

import json
import os
from collections.abc import Iterator
from typing import TextIO

import pytest

from mintonce_server.observability import logs

Pipe = tuple[int, TextIO]

LINE = "x" * 1000
MORE_THAN_A_PIPE_HOLDS = 2000


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The end to read, and stderr."""
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as stream:
        logs.configure("info", "json", stream)
        yield reading, stream
        logs.configure("info", "json")
    os.close(reading)


def _read_all(reading: int) -> bytes:
    os.set_blocking(reading, False)
    data = b""
    try:
        while chunk := os.read(reading, 65_536):
            data += chunk
    except BlockingIOError:
        return data
    return data


def test_a_pipe_that_is_not_read_holds_up_no_call(pipe: Pipe) -> None:
    """More lines than it holds are written without an end of the test's time."""
    for _ in range(MORE_THAN_A_PIPE_HOLDS):
        logs.get_logger("a").info("full", detail=LINE)

    assert len(_read_all(pipe[0])) < MORE_THAN_A_PIPE_HOLDS * len(LINE)


@pytest.mark.slow
def test_what_was_lost_is_reported_when_there_is_room_again(pipe: Pipe) -> None:
    """Every line is whole, and those that are missing were counted."""
    reading, _ = pipe
    for _ in range(MORE_THAN_A_PIPE_HOLDS):
        logs.get_logger("a").info("full", detail=LINE)
    before = _read_all(reading)

    logs.get_logger("a").info("again")

    events = [json.loads(line) for line in (before + _read_all(reading)).splitlines()]
    lost = next(event["count"] for event in events if event["event"] == "log_lines_lost")
    assert events[-1]["event"] == "again"
    assert lost + sum(event["event"] == "full" for event in events) == MORE_THAN_A_PIPE_HOLDS


def test_a_line_that_is_longer_than_the_pipe_arrives_in_parts(pipe: Pipe) -> None:
    """What did not fit comes before the next line."""
    reading, _ = pipe
    logs.get_logger("a").info("long", detail="y" * 100_000)
    first = _read_all(reading)

    logs.get_logger("a").info("next")

    events = [json.loads(line)["event"] for line in (first + _read_all(reading)).splitlines()]
    assert events == ["long", "next"]
