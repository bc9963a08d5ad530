"""Unexpected exceptions are logged at a bounded rate, and never reach those who only wanted to write something down."""

import asyncio
import json
from typing import NoReturn

from observability.conftest import Configure

from mintonce_server.core import events
from mintonce_server.observability.journal import guarded
from mintonce_server.observability.lines import MAX_EXCEPTION, exception_text
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import BURST, LOG_EVERY, FaultLog
from support.clocks import ManualClock


def raised(error: Exception) -> Exception:
    """With a traceback."""
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - whatever the test wants
        return caught


def test_a_part_that_fails_on_and_on_is_logged_now_and_then(configure: Configure) -> None:
    """Each line has the traceback and the count so far; another part is not silenced by it."""
    stream, clock = configure(), ManualClock()
    faults = FaultLog(clock, get_logger("test"))
    for _ in range(1_000):
        faults("one", raised(KeyError("k")))
    faults("another", raised(KeyError("k")))
    clock.advance(LOG_EVERY)
    faults("one", raised(KeyError("k")))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["where"], line["count"]) for line in lines] == [
        *(("one", number + 1) for number in range(BURST)),
        ("another", 1),
        ("one", 1_001),
    ]
    assert all("Traceback" in line["exception"] and line["level"] == "error" for line in lines)
    assert faults.count_of == {"one": 1_001, "another": 1}


def test_a_traceback_is_bounded() -> None:
    """The head says where it happened, the end what it was."""
    error = raised(ValueError("x" * 1_000_000))
    text = exception_text((type(error), error, error.__traceback__))
    assert len(text) <= MAX_EXCEPTION + 3
    assert "Traceback" in text
    assert "ValueError" in text


def test_an_exception_that_cannot_be_printed_is_named(configure: Configure) -> None:
    """Its text and its chain of causes may be anything."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Unrepresentable:
        def __repr__(self) -> str:
            raise RuntimeError

    deep: Exception = ValueError("0")
    for number in range(5_000):
        outer = ValueError(str(number))
        outer.__cause__, deep = deep, outer
    for error in (Unprintable(), deep):
        assert type(error).__name__ in exception_text((type(error), error, error.__traceback__))
    stream = configure()
    get_logger("test").error("something", value=Unrepresentable())
    assert "log_failed" in stream.getvalue() or "something" in stream.getvalue()


def test_a_sink_that_raises_is_reported_and_no_more() -> None:
    """The broker goes on."""

    def sink(_: events.Event) -> NoReturn:
        raise OSError("disk full")

    reports: list[tuple[str, Exception]] = []
    guarded(sink, lambda where, error: reports.append((where, error)))(events.Committed("hash", 1))
    assert [(where, type(error)) for where, error in reports] == [("event sink", OSError)]


async def test_what_asyncio_finds_is_logged(configure: Configure) -> None:
    """An exception in a callback, for one."""

    def fails() -> NoReturn:
        raise KeyError("absent")

    stream, loop = configure(), asyncio.get_running_loop()
    before = loop.get_exception_handler()
    FaultLog(ManualClock(), get_logger("test")).watch(loop)
    try:
        loop.call_soon(fails)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (line["event"], line["where"]) == ("unexpected_error", "event loop")
    assert "KeyError" in line["exception"]
