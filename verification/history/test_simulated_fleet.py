"""The checker on thousands of histories of a fleet that keeps its promises, and on the same with one thing altered."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from history.checker import Call, End, History, Post, Right, check
from history.law import law
from history.simulated_fleet import ACTIONS, SimulatedFleet
from history.story import stories
from history.tale import API, REPLICAS
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from(REPLICAS), st.floats(0.05, 12.0)), min_size=1, max_size=40
)
Happenings = list[tuple[str, str, float]]
Pick = Callable[[list[Call]], Call]
Mutation = Callable[[History, Pick], History]


def told(happenings: Happenings) -> History:
    """The history of what happens one after the other, with so many seconds in between."""
    fleet = SimulatedFleet()
    for action, replica, pause in happenings:
        fleet.act(action, replica)  # type: ignore[arg-type]
        fleet.now = round(fleet.now + pause, 3)
    return fleet.tale.history


@settings(max_examples=150, deadline=None)
@given(HAPPENINGS)
def test_a_fleet_that_keeps_its_promises_is_not_accused(happenings: Happenings) -> None:
    """Whatever happens, in whatever order."""
    assert check(told(happenings)) == []


def gets(history: History) -> list[Call]:
    return [call for call in history.calls if call.brings_token]


def with_call(history: History, old: Call, new: Call) -> History:
    return replace(history, calls=[new if call is old else call for call in history.calls])


def lost_post(history: History, pick: Pick) -> History:
    """H4: the issuer never minted what a caller holds."""
    jti = pick(gets(history)).jti
    return replace(history, posts=[post for post in history.posts if post.jti != jti])


def wrong_audience(history: History, pick: Pick) -> History:
    """H4: the token is for another audience."""
    call = pick(gets(history))
    return with_call(history, call, replace(call, aud="https://other/"))


def served_dead(history: History, pick: Pick) -> History:
    """H5: the same answer once more, when the token is over."""
    call = pick(gets(history))
    late = call.expires_at + 3.0
    return replace(history, calls=[*history.calls, replace(call, began=late, ended=late + 0.01)])


def minted_twice(history: History, pick: Pick) -> History:
    """H3: another replica begins a generation that was begun already."""
    del pick
    starts = [step for step in history.steps if step.event == "mint_started"]
    assume(starts)
    return replace(history, steps=[*history.steps, replace(starts[0], replica="z", time=starts[0].time + 0.1)])


def two_numbers(history: History, pick: Pick) -> History:
    """H3: the same token, under one more number."""
    call = pick([call for call in gets(history) if not history.faults])
    again = replace(call, generation=call.generation + 1, began=call.ended + 0.1, ended=call.ended + 0.11)
    return replace(history, calls=[*history.calls, again])


def unexplained_posts(history: History, pick: Pick) -> History:
    """H2: one POST more than the law allows."""
    (story,) = stories(history)
    at = pick(gets(history)).began
    missing = law(story).bound - len(story.posts) + 1
    return replace(history, posts=[*history.posts, *(Post(at, API, 200, f"stray-{n}") for n in range(missing))])


def served_rejected(history: History, pick: Pick) -> History:
    """H6: the replica that acknowledged a rejection gives the token again."""
    reject = pick([call for call in history.calls if call.op == "reject"])
    assume(not any(fault.lossy for fault in history.faults))
    given_before = [call for call in gets(history) if call.generation == reject.generation]
    assume(given_before)
    again = replace(given_before[0], replica=reject.replica, began=reject.ended + 0.1, ended=reject.ended + 0.11)
    return replace(history, calls=[*history.calls, again])


def came_back_unmarked(history: History, pick: Pick) -> History:
    """H6: the issuer gave a rejected token again, and a caller does not learn it."""
    assume(not any(fault.lossy or fault.outage or fault.crash for fault in history.faults))
    marked = [call for call in gets(history) if call.degraded]
    call = pick(marked)
    return with_call(history, call, replace(call, degraded=False))


def believed(history: History, pick: Pick) -> History:
    """H16: rejections of what never was have POSTs for a consequence."""
    reject = pick([call for call in history.calls if call.status == "INVALID_ARGUMENT"])
    assume(not history.faults)
    more = [Post(reject.ended + number / 10, API, 200, f"forced-{number}") for number in range(6)]
    return replace(history, posts=[*history.posts, *more])


def ended_by_itself(history: History, pick: Pick) -> History:
    """H15: a process is gone, though nothing killed it."""
    return replace(history, ends=[End(pick(history.calls).ended, "a", "exit code 1")])


def beyond_the_rule(history: History, pick: Pick) -> History:
    """H17: one token has a scope that the caller's rule does not name."""
    call = pick(gets(history))
    history = with_call(history, call, replace(call, granted=("admin:all",)))
    return replace(history, rights=[Right("", API, frozenset({"read"}))])


def impatient_post(history: History, pick: Pick) -> History:
    """H8: a POST in the middle of a back-off."""
    del pick
    failures = [step for step in history.steps if step.event == "mint_failed"]
    assume(failures and all(fault.kind == "503" for fault in history.faults))
    return replace(history, posts=[*history.posts, Post(failures[0].time + 1.0, API, 503, "")])


def late_answer(history: History, pick: Pick) -> History:
    """H9: a call outlives its deadline."""
    call = pick(history.calls)
    return with_call(history, call, replace(call, ended=call.began + call.deadline + 0.6))


def no_reason(history: History, pick: Pick) -> History:
    """H9: a failure that does not say why."""
    call = pick([call for call in history.calls if not call.ok and call.reason])
    assume(all(fault.kind == "503" for fault in history.faults))
    return with_call(history, call, replace(call, reason=""))


def never_healed(history: History, pick: Pick) -> History:
    """H10: a get fails when all has long been well."""
    call = pick(history.calls)
    late = max(call.ended for call in history.calls) + 60.0
    failed = Call("get", call.replica, API, late, late + 0.1, 10.0, "UNAVAILABLE", "STORE_UNAVAILABLE", 1.0)
    return replace(history, calls=[*history.calls, failed])


MUTATIONS: list[tuple[str, Mutation]] = [
    ("H4", lost_post), ("H4", wrong_audience), ("H5", served_dead), ("H3", minted_twice), ("H2", unexplained_posts),
    ("H6", served_rejected), ("H8", impatient_post), ("H9", late_answer), ("H9", no_reason), ("H10", never_healed),
    ("H3", two_numbers), ("H6", came_back_unmarked), ("H15", ended_by_itself), ("H16", believed),
    ("H17", beyond_the_rule),
]  # fmt: skip
FAULTLESS = (two_numbers, believed, came_back_unmarked)
"""What a fault may excuse: only what happens without one is altered."""
FAULTS = ("kill", "stall", "outage", "issuer down")

PRELUDE: Happenings = [("issuer down", "a", 0.2), ("get", "b", 3.0), ("herd", "a", 1.0), ("storm", "b", 1.0)]
"""Something of everything that a mutation may need; what happens next is up to chance."""


@pytest.mark.parametrize(("rule", "mutate"), MUTATIONS, ids=[mutate.__name__ for _, mutate in MUTATIONS])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    happenings=HAPPENINGS.map(lambda more: PRELUDE + [what for what in more if what[0] != "emptied"]), data=st.data()
)
def test_one_thing_altered_is_reported(
    rule: str, mutate: Mutation, happenings: Happenings, data: st.DataObject
) -> None:
    """Each way of breaking a promise, in the middle of anything else."""
    if mutate in (impatient_post, no_reason):  # what a fault may excuse is left out
        happenings = [what for what in happenings if what[0] not in ("kill", "stall", "outage")]
    if mutate in FAULTLESS:
        more = [("reject nothing", "b", 32.0), ("get", "a", 1.0), ("issuer repeats", "a", 1.0), ("get", "c", 1.0)]
        happenings = [what for what in happenings if what[0] not in FAULTS] + more

    def pick(calls: list[Call]) -> Call:
        assume(calls)
        return data.draw(st.sampled_from(calls))

    history = mutate(told(happenings), pick)
    assert rule in {violation.rule for violation in check(history)}


def test_the_simulation_does_what_it_says() -> None:
    """All that it can do leaves traces: POSTs, refused commits, failures, rejections and faults."""
    everything: Happenings = [
        ("kill", "a", 60.0),
        ("stall", "b", 60.0),
        *PRELUDE,
        ("outage", "c", 60.0),
        ("emptied", "a", 1.0),
        ("reject nothing", "b", 1.0),
        ("get", "a", 1.0),
        ("issuer repeats", "a", 1.0),
    ]
    history = told(everything)
    assert {fault.kind for fault in history.faults} == {"kill", "stop", "503", "redis killed", "emptied"}
    assert {"committed", "commit_refused", "mint_failed", "adopted", "issuer_reissued_rejected_token"} <= {
        step.event for step in history.steps
    }
    assert {call.op for call in history.calls} == {"get", "reject"}
    assert len(history.posts) >= 6
