"""What a run measured, for its report."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from history.law import explained_by, fails, generations, outage_cost, rejected
from history.records import Call, Fault, History, Post
from history.rules_calls import waits
from history.story import Story, stories


@dataclass(frozen=True, slots=True)
class Spread:
    """Of so many durations, in seconds. Zeros when there are none."""

    count: int
    p50: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True)
class Extra:
    """POSTs beyond one a generation near faults of one kind, and how many the mint law allows for those."""

    posts: int
    allowed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all keys together.

    Attributes:
        extra: by kind of fault; "failed mints" and "rejections" are the law's other terms, "none" is unexplained.
        wakes: commit → end of the calls that waited for it at other replicas.
        recovery: by kind: end of the fault → first answer of each (replica, key) that had failed.
        staleness: a rejection's acknowledgement or a new commit → the last older generation from another replica.
        operations: calls and tokens of watches that were checked.
    """

    keys: int
    posts: int
    generations: int
    extra: Mapping[str, Extra]
    wakes: Spread
    recovery: Mapping[str, Spread]
    staleness: Spread
    operations: int
    faults: Mapping[str, int]

    @property
    def posts_per_generation(self) -> float:
        return self.posts / self.generations if self.generations else 0.0


def figures(history: History) -> Figures:
    """Pure: the same history has the same figures."""
    told = stories(history)
    return Figures(
        keys=len(told),
        posts=len(history.posts),
        generations=sum(len(generations(story)) for story in told),
        extra=_extra(told),
        wakes=spread(waited for story in told for _, waited in waits(story)),
        recovery=_recovery(told, history.faults),
        staleness=spread(age for story in told for age in _staleness(story)),
        operations=len(history.calls),
        faults=dict(sorted(Counter(fault.kind for fault in history.faults).items())),
    )


def spread(durations: Iterable[float]) -> Spread:
    """Percentiles by the nearest rank."""
    ordered = sorted(durations)
    if not ordered:
        return Spread(0, 0.0, 0.0, 0.0)
    return Spread(len(ordered), _rank(ordered, 0.5), _rank(ordered, 0.99), ordered[-1])


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _extra(told: Iterable[Story]) -> dict[str, Extra]:
    posts: Counter[str] = Counter()
    allowed: Counter[str] = Counter()
    for story in told:
        for post in _beyond(story):
            posts[_cause(story, post)] += 1
        for fault in story.faults:
            allowed[fault.kind] += _allowance(story, fault)
        allowed["failed mints"] += fails(story)
        allowed["rejections"] += 2 * len(rejected(story))
    return {kind: Extra(posts[kind], allowed[kind]) for kind in sorted(posts | allowed)}


def _beyond(story: Story) -> list[Post]:
    """The POSTs that made no generation: those without a token, and those whose token reached no caller."""
    given = {call.jti for call in story.got}
    strays = [post for post in story.posts if not post.jti or post.jti not in given]
    # A generation that was committed and never asked for had a POST too: the latest before its commit.
    asked_for = {call.generation for call in story.got}
    for step in story.of("committed"):
        if step.generation not in asked_for:
            before = [post for post in strays if post.jti and post.time <= step.time + story.bounds.clock]
            if before:
                strays.remove(before[-1])
    return strays


def _cause(story: Story, post: Post) -> str:
    if not post.jti:
        return "failed mints"
    bounds = story.bounds
    near = [
        fault
        for fault in story.faults
        if fault.overlaps(post.time - bounds.lease - bounds.failover, post.time + bounds.mint)
        and _allowance(story, fault)
    ]
    if near:
        return min(near, key=lambda fault: abs(fault.began - post.time)).kind
    if any(step.time - bounds.mint <= post.time <= step.time for step in story.of("mint_failed")):
        return "failed mints"  # the issuer minted one, and its answer could not be used
    return "rejections" if rejected(story) else "none"


def _allowance(story: Story, fault: Fault) -> int:
    alone = outage_cost(story, fault) if story.is_outage(fault) else 0
    caught = explained_by(story, fault) if fault.crash or fault.stall else 0
    return alone + caught + 2 * fault.lossy


def _recovery(told: Iterable[Story], faults: Iterable[Fault]) -> dict[str, Spread]:
    times: dict[str, list[float]] = {}
    stories_told = list(told)
    for fault in faults:
        for story in stories_told:
            times.setdefault(fault.kind, []).extend(_recoveries(story, fault))
    return {kind: spread(durations) for kind, durations in sorted(times.items()) if durations}


def _recoveries(story: Story, fault: Fault) -> list[float]:
    gets = [call for call in story.calls if call.op == "get" and call.status != "CANCELLED"]
    failed = {call.replica for call in gets if not call.ok and fault.overlaps(call.began, call.ended)}
    found: list[float] = []
    for replica in sorted(failed):
        after = [call.ended for call in gets if call.ok and call.replica == replica and call.ended >= fault.ended]
        if after:
            found.append(min(after) - fault.ended)
    return found


def _staleness(story: Story) -> list[float]:
    """For each commit and each acknowledged rejection, how long others went on with what was older."""
    gets = [call for call in story.got if call.op == "get"]
    news = [(step.time, step.replica, step.generation - 1) for step in story.of("committed")]
    news += [(call.ended, call.replica, call.generation) for call in story.rejects() if call.ok]
    return [age for moment in news if (age := _last_older(gets, *moment)) > 0.0]


def _last_older(gets: Iterable[Call], since: float, replica: str, generation: int) -> float:
    older = (call.began for call in gets if call.replica != replica and call.generation <= generation)
    return max((began - since for began in older), default=0.0)
