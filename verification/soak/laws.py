"""What must hold whatever was done to the fleet."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from chaos.journals import steps_of
from chaos.machine import LATE, Pulse, unprovoked
from history import rules_calls as about_calls
from history import rules_rejects as about_rejects
from history.checker import Call, Fault, History, Post, Story, Violation, names_of, stories
from soak.caller import NEVER_ENDED, UNTYPED
from soak.fleet import SETUP, WITNESS, Fleet, tasks_file
from soak.gauges import Flatness
from soak.keys import ALL, UNTOUCHED

from support.measured_server import late_file
from support.naming import hasher_of

Rule = Callable[[Story], Iterable[Violation]]
RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "no wrong token": (about_calls.right_token,),
    "no token past its end": (about_calls.no_dead_token,),
    "no rejected token after the bound": (
        about_rejects.rejected_stays_away,
        about_rejects.rejected_text_comes_back_marked,
    ),
    "rejections cost one POST an interval": (about_rejects.one_post_an_interval,),
    "calls end by their deadline": (about_calls.ends_in_time,),
    "failed calls say why": (about_calls.says_why,),
}
"""Those that look at one key."""


@dataclass
class Told:
    """What the client processes wrote down.

    Attributes:
        unreal: rejections of generations that never were.
        excused: calls that ended at their deadline without an answer while their replica's event loop was late: the
            machine stood still. They are not in `calls`.
    """

    calls: list[Call] = field(default_factory=list[Call])
    unreal: list[Call] = field(default_factory=list[Call])
    excused: int = 0


def read(files: Iterable[Path]) -> Told:
    """Half a line at the end of a file is passed over."""
    told = Told()
    for file in files:
        for line in file.read_text().rpartition("\n")[0].splitlines():
            parsed = json.loads(line)
            (told.unreal if parsed["unreal"] else told.calls).append(Call(**parsed["call"]))
    return told


def excuse(fleet: Fleet, told: Told) -> Told:
    """Without the calls that a busy machine alone made fail."""
    late = {member.name: _late(late_file(tasks_file(fleet.directory, member.name))) for member in fleet.members}
    calls = [call for call in told.calls if not late[call.replica].excuses(call)]
    return replace(told, calls=calls, excused=len(told.calls) - len(calls))


def _late(file: Path) -> Pulse:
    found = Pulse()
    lines = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
    for line in lines:
        began, ended = map(float, line.split())
        steps = math.ceil((ended - began) / LATE)
        moments = [began + step * LATE for step in range(steps)] + [ended]
        found.late |= dict.fromkeys(moments, ended - began)
    return found


def history_of(fleet: Fleet, told: Told) -> History:
    """All that the rules look at. Store deadlines that only a busy machine missed are outages, too."""
    posts, names = fleet.issuer.posts_so_far(), names_of(ALL, hasher_of(fleet.members[0].settings))
    times = [call.began for call in told.calls]
    busy = unprovoked(fleet.members, min(times, default=0.0), max(times, default=0.0), fleet.faults)
    return History(
        posts=posts,
        calls=_dated(told.calls, posts),
        steps=steps_of(fleet.members, names),
        faults=[*fleet.faults, *busy],
        bounds=SETUP.bounds,
        replicas=[member.name for member in fleet.members],
        names=names,
    )


def _dated(calls: Iterable[Call], posts: Iterable[Post]) -> list[Call]:
    """With the true expiry: the lifetime that the token states, from its POST on. Rules find tokens without a POST."""
    minted: dict[str, float] = {}
    for post in posts:
        minted.setdefault(post.jti, post.time)
    return [
        replace(call, expires_at=minted.get(call.jti, math.inf) + call.expires_at) if call.jti else call
        for call in calls
    ]


def broken(
    fleet: Fleet, told: Told, history: History, flat: Sequence[Flatness], recovery: float | None
) -> dict[str, list[str]]:
    """Every law and what broke it. `recovery`: seconds, None if the fleet did not recover."""
    found = {law: [f"{one.rule}: {one.detail}" for one in _of(history, rules)] for law, rules in RULES.items()}
    return found | {
        "no replica ends": [
            f"{end.replica} ended at {end.time:.3f} with {end.code}; it last said:\n{end.said}" for end in fleet.ended
        ],
        "calls end with an error of the client": list(_untyped([*told.calls, *told.unreal])),
        "a generation that never was is not rejected": list(_taken(told.unreal)),
        "such rejections cost no POST": list(_minted_again(history)),
        "a live token in memory is served": list(_refused(history)),
        "nothing grows": [
            f"{one.what} of {WITNESS}: {one.first:,.0f} in the first half, {one.second:,.0f} in the second; allowed "
            f"{one.allowed:,.0f}"
            for one in flat
            if not one.flat
        ],
        "all recovers": [] if recovery is not None else ["not every replica served every key after all was healed"],
    }


def _of(history: History, rules: Sequence[Rule]) -> Iterator[Violation]:
    for story in stories(history):
        for rule in rules:
            yield from rule(story)


def _untyped(calls: Iterable[Call]) -> Iterator[str]:
    for call in calls:
        what = f"{call.op} at {call.replica}, begun at {call.began:.3f} with {call.deadline:.1f} s"
        if call.status == NEVER_ENDED:
            yield f"{what}, had not ended at {call.ended:.3f}"
        elif call.status == UNTYPED:
            yield f"{what}, raised {call.reason}"


def _taken(unreal: Iterable[Call]) -> Iterator[str]:
    for call in unreal:
        if call.was_current:
            yield f"{call.replica} took generation {call.generation} of {call.audience} for current at {call.ended:.3f}"


def _refused(history: History) -> Iterator[str]:
    """The witness holds a token that outlives the run. Only while it is stopped it may not answer."""
    mine = [call for call in history.calls if (call.op, call.replica, call.audience) == ("get", WITNESS, UNTOUCHED)]
    had = min((call.ended for call in mine if call.ok), default=math.inf)
    stops = [fault for fault in history.faults if fault.stall and fault.target == WITNESS]
    for call in mine:
        stopped = any(fault.overlaps(call.began - SETUP.slack, call.ended) for fault in stops)
        if call.began > had and not call.ok and not stopped:
            yield f"{WITNESS} did not serve {UNTOUCHED} at {call.ended:.3f}: {call.status} {call.reason}"


def _minted_again(history: History) -> Iterator[str]:
    """Each replica that forgot its token or missed an exchange may mint once more while the store has nothing."""
    posts = [post for post in history.posts if post.audience == UNTOUCHED and post.jti]
    allowed = 1 + sum(map(_forgets, history.faults))
    if len(posts) > allowed:
        times = ", ".join(f"{post.time:.3f}" for post in posts[:10])
        yield f"{len(posts)} tokens were minted for {UNTOUCHED}, {allowed} allowed; the first at {times}"


def _forgets(fault: Fault) -> bool:
    return fault.target.startswith("r") and (fault.crash or fault.stall)
