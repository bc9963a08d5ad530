"""A caller's trace context counts only if it is exactly as W3C specifies it."""

import random
import string

import pytest

from mintonce_server.common.trace_context import MAX_TRACESTATE, TraceParent, parse_traceparent, trace_parent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_well_formed_traceparent_gives_its_ids_and_its_flag() -> None:
    assert parse_traceparent(GOOD) == TraceParent(int(TRACE, 16), int(SPAN, 16), True)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-00") == TraceParent(int(TRACE, 16), int(SPAN, 16), False)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-02") == TraceParent(int(TRACE, 16), int(SPAN, 16), False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD.upper(),
        f"01-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"{GOOD}\n",
        f" {GOOD}",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        GOOD.encode(),
    ],
)
def test_anything_else_counts_as_absent(text: str | bytes) -> None:
    assert parse_traceparent(text) is None
    assert trace_parent([("traceparent", text)]) is None


def test_two_traceparents_count_as_none() -> None:
    assert trace_parent([("traceparent", GOOD), ("traceparent", GOOD)]) is None


def test_a_tracestate_comes_along_up_to_its_bound() -> None:
    longest = "a=" + "x" * (MAX_TRACESTATE - 2)
    for state, kept in (("a=1,b=2", "a=1,b=2"), (longest, longest), (longest + "x", "")):
        found = trace_parent([("tracestate", state), ("traceparent", GOOD)])
        assert found is not None
        assert found.state == kept


def test_one_changed_character_never_raises_and_never_gives_a_zero_id() -> None:
    chosen = random.Random(7)
    for _ in range(2000):
        text = list(GOOD)
        text[chosen.randrange(len(text))] = chosen.choice(string.printable)
        found = parse_traceparent("".join(text))
        assert found is None or (found.trace_id and found.span_id)
