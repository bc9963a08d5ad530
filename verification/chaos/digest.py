"""What is kept of a scenario that is over: figures, not the history."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from chaos.machine import BUSY
from chaos.stage import Outcome
from history.figures import Extra, figures
from history.rules_calls import waits
from history.story import stories

SHOWN: Final = 8
"""Broken promises that are printed of a scenario."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Times in seconds.

    Attributes:
        beside: whether others ran on the same rig at the same time.
        extra: POSTs beyond one a generation and what the mint law allows, by cause.
        waits: from a commit to the end of each call that waited for it at another replica.
        recovery: from the healing until every replica served every key of the scenario.
        staleness: the oldest that anybody was served, by a replica that had not heard of what is newer.
        problems: broken promises, as sentences.
        excused: calls that were not judged, since the machine itself stood still.
        busy: outages of the store to one replica that the run had not made.
        ends: processes that ended by themselves.
    """

    name: str
    topology: str
    seed: int
    beside: bool
    replay: str
    posts: int
    generations: int
    extra: Mapping[str, Extra]
    waits: tuple[float, ...]
    recovery: float
    staleness: float
    operations: int
    faults: int
    problems: tuple[str, ...]
    notes: Mapping[str, float]
    seconds: float
    excused: int
    busy: int
    ends: int

    @classmethod
    def of(cls, outcome: Outcome) -> "Digest":
        histories = (outcome.history, *outcome.beside)
        measured = [figures(history) for history in histories]
        violations = [f"{violation.rule}: {violation.detail}" for violation in outcome.violations]
        return cls(
            name=outcome.scenario.name,
            topology=outcome.topology,
            seed=outcome.seed,
            beside=not outcome.scenario.alone,
            replay=outcome.replay,
            posts=sum(each.posts for each in measured),
            generations=sum(each.generations for each in measured),
            extra=_added(each.extra for each in measured),
            waits=tuple(waited for history in histories for story in stories(history) for _, waited in waits(story)),
            recovery=outcome.recovery,
            staleness=max(each.staleness.most for each in measured),
            operations=sum(each.operations for each in measured),
            faults=sum(fault.kind != BUSY for fault in outcome.history.faults),
            problems=(*violations, *outcome.broken),
            notes=outcome.notes,
            seconds=outcome.seconds,
            excused=outcome.excused,
            busy=sum(fault.kind == BUSY for history in histories for fault in history.faults),
            ends=sum(len(history.ends) for history in histories),
        )

    def __str__(self) -> str:
        measured = (
            f"{self.posts} POSTs, {self.generations} generations, {self.operations} operations, {self.seconds:.1f} s"
        )
        if not self.problems:
            return f"{self.name} on {self.topology}, seed {self.seed}: ok ({measured})"
        head = f"{self.name} on {self.topology}, seed {self.seed}: BROKEN ({measured})"
        shown = [f"  {text}" for text in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            shown.append(f"  and {len(self.problems) - SHOWN} more")
        return "\n".join([head, *shown, f'  replay: make chaos ARGS="{self.replay}"'])


def _added(extras: Iterable[Mapping[str, Extra]]) -> dict[str, Extra]:
    total: dict[str, Extra] = {}
    for cause, extra in (item for each in extras for item in each.items()):
        before = total.get(cause, Extra(0, 0))
        total[cause] = Extra(before.posts + extra.posts, before.allowed + extra.allowed)
    return total
