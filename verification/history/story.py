"""A run told key by key: what the rules look at."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from history.records import Bounds, Call, Fault, History, Post, Right, Step

OUTCOMES: Final = ("committed", "commit_refused", "mint_failed", "issuer_repeated_token")
"""How a mint ends in a replica's log. One that ends otherwise was cut short by a crash, or by a store out of reach."""
OUTAGE: Final = "outage"
"""The cause of a mint without the store. Its generation is provisional, and its token ends it."""


@dataclass(frozen=True, slots=True)
class Mint:
    """A `mint_started` and what became of it. `event` is "" and `ended` None if the log does not say.

    `lone`: without the store, so its generation is provisional.
    """

    replica: str
    generation: int
    began: float
    ended: float | None
    event: str
    lone: bool = False


@dataclass(frozen=True)
class Story:
    """All of a run that is about one key, each list in order of time, and all of its faults."""

    audience: str
    posts: list[Post]
    calls: list[Call]
    steps: list[Step]
    mints: list[Mint]
    faults: list[Fault]
    bounds: Bounds
    replicas: tuple[str, ...]
    rights: tuple[Right, ...] | None = None

    def of(self, *events: str) -> list[Step]:
        return [step for step in self.steps if step.event in events]

    @cached_property
    def got(self) -> list[Call]:
        """The calls that brought a token."""
        return [call for call in self.calls if call.brings_token]

    @cached_property
    def lives(self) -> list[float]:
        """How long the tokens of this key live that a caller got or a log names, in seconds."""
        minted_at = {post.jti: post.time for post in self.posts if post.jti}
        given = {call.jti: call.expires_at for call in self.got if call.jti in minted_at}
        told = [step.lifetime for step in self.of("minted") if step.lifetime is not None]
        return [*told, *(expires_at - minted_at[jti] for jti, expires_at in given.items())]

    @cached_property
    def texts(self) -> dict[int, str]:
        """The token that each generation names, by what callers were given."""
        return {call.generation: call.jti for call in self.got}

    @cached_property
    def provisional(self) -> frozenset[int]:
        """Generations that were given without the store. They order what one replica serves, and nothing else."""
        adopted = {step.provisional for step in self.of("adopted")}
        return frozenset({mint.generation for mint in self.mints if mint.lone} | adopted)

    def number(self, generation: int) -> int:
        """The generation that the store gave to the same token later, if this one is provisional; else itself."""
        return self._adopted.get(generation, generation)

    @cached_property
    def _adopted(self) -> dict[int, int]:
        logged = {step.provisional: step.generation for step in self.of("adopted")}
        found: dict[int, int] = {}
        for generation in self.provisional - logged.keys():
            # The log does not say it if the answer to the replica was lost: then callers know.
            same = {number for number, jti in self.texts.items() if jti == self.texts.get(generation)}
            later = [number for number in same - self.provisional if number > generation]
            if later:
                found[generation] = min(later)
        return found | logged

    def rejects(self) -> list[Call]:
        return [call for call in self.calls if call.op == "reject"]

    def outages(self, replica: str = "") -> list[Fault]:
        """Faults that put the store out of reach, of this replica if one is named; in order of time."""
        return [fault for fault in self.faults if self.is_outage(fault) and (not replica or self._cuts(fault, replica))]

    def is_outage(self, fault: Fault) -> bool:
        """Said so, lossy, or a store server (not a replica) that was killed or stopped."""
        hurts_store = (fault.crash or fault.stall) and fault.target not in self.replicas
        return fault.outage or fault.lossy or hurts_store

    def lossy(self, began: float, ended: float) -> bool:
        """Whether the store may have lost writes in between."""
        return any(fault.lossy and fault.overlaps(began, ended) for fault in self.faults)

    def troubled(self, replica: str, began: float, ended: float) -> bool:
        """Whether the replica was killed or stopped, or anything kept it from the store, in between."""
        hurt = (fault for fault in self.faults if (fault.crash or fault.stall) and fault.concerns(replica))
        return any(fault.overlaps(began, ended) for fault in (*hurt, *self.outages(replica)))

    def _cuts(self, fault: Fault, replica: str) -> bool:
        return fault.target not in self.replicas or fault.target == replica


def stories(history: History) -> list[Story]:
    """One a key, in order of their names."""
    names = {**_guessed(history), **history.names}
    steps = [replace(step, audience=step.audience or names.get(step.key_hash, "")) for step in history.steps]
    # A step of a key without a known name is still about one key: its hash serves as the name.
    steps = [step if step.audience else replace(step, audience=step.key_hash) for step in steps]
    steps = [step for step in steps if step.audience]
    replicas = tuple(history.replicas) or _replicas(history)
    audiences = {item.audience for items in (history.posts, history.calls, steps) for item in items}
    history = replace(history, posts=told_once(history.posts))
    return [_story(history, audience, steps, replicas) for audience in sorted(audiences)]


def told_once(posts: Iterable[Post]) -> list[Post]:
    """In order of time. A POST that was answered with a token of an earlier one repeats it, and minted nothing."""
    known: set[str] = set()
    found: list[Post] = []
    for post in sorted(posts, key=lambda post: post.time):
        found.append(replace(post, jti="", repeats=post.jti) if post.jti in known else post)
        known.add(post.jti or post.repeats)
    return found


def clipped(story: Story, began: float, ended: float) -> Story:
    """What of it happened in this time."""
    return replace(
        story,
        posts=[post for post in story.posts if began <= post.time <= ended],
        calls=[call for call in story.calls if call.ended >= began and call.began <= ended],
        steps=[step for step in story.steps if began <= step.time <= ended],
        mints=[mint for mint in story.mints if mint.began <= ended and (mint.ended is None or mint.ended >= began)],
        faults=[fault for fault in story.faults if fault.overlaps(began, ended)],
    )


def _story(history: History, audience: str, steps: Iterable[Step], replicas: tuple[str, ...]) -> Story:
    mine = sorted((step for step in steps if step.audience == audience), key=lambda step: step.time)
    return Story(
        audience,
        sorted((post for post in history.posts if post.audience == audience), key=lambda post: post.time),
        sorted((call for call in history.calls if call.audience == audience), key=lambda call: call.began),
        mine,
        _mints(mine),
        sorted(history.faults, key=lambda fault: fault.began),
        history.bounds,
        replicas,
        None if history.rights is None else tuple(history.rights),
    )


def _mints(steps: Sequence[Step]) -> list[Mint]:
    """Each start with the first outcome that the same replica logged for it."""
    lone = {(step.replica, step.generation) for step in steps if _is_lone(step)}
    outcomes: dict[tuple[str, int], Step] = {}
    for step in steps:
        place = step.replica, step.generation
        if step.event in OUTCOMES or (step.event == "minted" and place in lone):
            outcomes.setdefault(place, step)
    mints: list[Mint] = []
    for step in steps:
        if step.event == "mint_started":
            end = outcomes.get((step.replica, step.generation))
            ended, event = (None, "") if end is None else (end.time, end.event)
            mints.append(Mint(step.replica, step.generation, step.time, ended, event, _is_lone(step)))
    return mints


def _is_lone(step: Step) -> bool:
    return step.event == "mint_started" and step.detail == OUTAGE


def _replicas(history: History) -> tuple[str, ...]:
    seen = {call.replica for call in history.calls} | {step.replica for step in history.steps}
    return tuple(sorted(seen))


def _guessed(history: History) -> dict[str, str]:
    """The audience of each key hash, by the generations that callers of the audience were given."""
    audiences: dict[int, set[str]] = {}
    for call in history.calls:
        if call.generation:
            audiences.setdefault(call.generation, set()).add(call.audience)
    votes: dict[str, Counter[str]] = {}
    for step in history.steps:
        votes.setdefault(step.key_hash, Counter()).update(audiences.get(step.generation, ()))
    return {key_hash: counter.most_common(1)[0][0] for key_hash, counter in votes.items() if counter}
