"""The vectors that the clients of all languages replay: Python's follower does what they say, and they say enough."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from follower_vectors import FOLDER, Player
from hypothesis import given
from hypothesis import strategies as st

from mintonce import _follow

CASES: list[Any] = [
    json.loads(line) for path in sorted(FOLDER.glob("*.jsonl")) for line in path.read_text().splitlines()
]


def play(case: Any) -> Iterator[tuple[Any, Any]]:
    player = Player(case["token"], case["now"], case["jitter"])
    for event in case["events"]:
        yield event, player.play(event)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_follower_does_what_the_vectors_say(case: Any) -> None:
    """Results, steps and state after each event."""
    for event, made in play(case):
        expected = event["expect"]
        assert made["result"] == expected["result"]
        assert made["step"] == pytest.approx(expected["step"], abs=1e-6)
        assert made["state"] == pytest.approx(expected["state"], abs=1e-6)


def test_every_line_of_the_follower_is_run_by_a_vector() -> None:
    """Else a port could leave it out unnoticed."""
    methods = {code for code in _codes(vars(_follow.Follower)) if code.co_filename == _follow.__file__}
    met: set[tuple[str, int]] = set()

    def trace(frame: FrameType, what: str, _: object) -> Any:
        if what in ("call", "line") and frame.f_code in methods:
            met.add((frame.f_code.co_name, frame.f_lineno))
        return trace if frame.f_code in methods else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for case in CASES:
            list(play(case))
    finally:
        sys.settrace(before)
    lines = {
        (code.co_name, line)
        for code in methods
        for _, _, line in code.co_lines()
        if line and line > code.co_firstlineno
    }
    assert lines - met == set()


def test_every_kind_of_event_and_step_is_there() -> None:
    """Those that the README of the vectors lists."""
    events = [event for case in CASES for event in case["events"]]
    table = (FOLDER / "README.md").read_text().partition("| `do` |")[2].partition("\n\n")[0]
    assert {event["do"] for event in events} == set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert {event["expect"]["step"]["do"] for event in events} == {"report", "fetch", "watch", "pause"}


GENERATIONS = st.integers(1, 5)
SPANS = st.sampled_from([-1.0, 0.0, 0.5, 2.0, 30.0, 1000.0])
ERRORS = st.fixed_dictionaries(
    {
        "reason": st.just("UNREACHABLE"),
        "retry_after": st.sampled_from([None, 0.0, 5.0, 1000.0]),
        "code": st.sampled_from(["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED"]),
    }
)
EVENTS = st.one_of(
    st.fixed_dictionaries(
        {"do": st.sampled_from(["offer", "fetched"]), "generation": GENERATIONS, "life": SPANS, "refresh": SPANS}
    ),
    st.fixed_dictionaries({"do": st.sampled_from(["fetch_failed", "report_failed"]), "error": ERRORS}),
    st.fixed_dictionaries({"do": st.just("watch_ended"), "error": st.none() | ERRORS, "lasted": SPANS}),
    st.fixed_dictionaries({"do": st.sampled_from(["want_report", "reported", "successor"]), "generation": GENERATIONS}),
    st.fixed_dictionaries({"do": st.sampled_from(["hurry", "look"])}),
)


def whole(event: Any, now: float, jitter: float) -> Any:
    """The event as the vectors write it."""
    event = {**event, "now": now, "jitter": jitter, "started_at": now - event.get("lasted", 0.0), "limit": 30.0}
    if "life" in event:
        ends = {"expires_at": now + event["life"], "refresh_at": now + event["refresh"]}
        event["token"] = {"generation": event["generation"], **ends}
    return event


@given(st.lists(st.tuples(EVENTS, SPANS.map(abs), st.sampled_from([0.0, 0.5, 0.999])), max_size=30))
def test_whatever_happens_the_follower_keeps_its_promises(script: Any) -> None:
    """Nothing dead or rejected is served, nothing older takes over, and the next step is never put off for ever."""
    now, player = 0.0, Player({"generation": 1, "expires_at": 100.0, "refresh_at": 90.0}, 0.0, 0.5)
    for event, span, jitter in script:
        now += span
        before = player.state(now)
        made = player.play(whole(event, now, jitter))
        step, state = made["step"], made["state"]
        assert state["live"] is None or state["live"] == state["token"]
        assert state["token"] is None or state["token"] > state["rejected"]
        if before["live"] and event["do"] != "reported":
            assert state["live"] >= before["live"]
        match step["do"]:
            case "report":
                assert step["generation"] == state["wanted_report"] > state["rejected"]
            case "watch":
                assert 0 < step["limit"] <= _follow.WATCH_MAX
            case "pause":
                longest = max(_follow.WATCH_UNIMPLEMENTED, _follow.RETRY_AFTER_MAX + _follow.BACKOFF_MAX)
                assert 0 < step["seconds"] <= longest
            case _:
                assert step == {"do": "fetch"}


def _codes(attributes: Mapping[str, object]) -> Iterator[CodeType]:
    for attribute in attributes.values():
        if isinstance(attribute, FunctionType):
            yield attribute.__code__
