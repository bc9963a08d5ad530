"""Every state that a fleet can reach, breadth first: the first broken law comes with a shortest way to it.

How to read a counterexample: it begins with everybody asking an empty store, and each line is one step, with the state
after it. "0 ACQUIRE: LEASE 1000000" is replica 0's ACQUIRE and its answer. The last line is the step that broke the
law; the law's name stands above. To play with it, shrink the budgets in test_model.py to what the steps spent.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

from model import laws
from model.acts import Acts, Scripts
from model.faults import fleet_steps
from model.fleet import replica_steps
from model.keeping import Step
from model.world import Budgets, Phase, Replica, World


class Habits(NamedTuple):
    """What a replica does next, and what happens to all of them; or mutants of that."""

    replica: Callable[[Acts, World, int], Iterator[Step]] = replica_steps
    fleet: Callable[[Acts, World], Iterator[Step]] = fleet_steps


class Report(NamedTuple):
    """What a search found. `law`: the one that was broken, "" for none; then `trace` says how."""

    states: int
    most_posts: int
    law: str = ""
    trace: str = ""


class Search:
    """One exhaustive walk."""

    def __init__(self, budgets: Budgets, replicas: int, scripts: Scripts, habits: Habits) -> None:
        self._acts = Acts(scripts, remember=budgets.failovers > 0)
        self._habits = habits
        self._budgets = budgets
        first = World(budgets, (Replica(),) * replicas)
        self._worlds = [first]
        self._parents = [-1]
        self._labels = ["everybody asks"]
        self._numbers = {first.canonical(): 0}
        self._ways: list[array[int]] = []
        """From each state, where it can go without a fault."""

    def run(self, most_states: int = 1_000_000) -> Report:
        """Raises AssertionError if there are more states than that: such a search proves nothing."""
        queue = deque([0])
        while queue:
            number = queue.popleft()
            try:
                queue.extend(self._visit(number))
            except laws.BrokenError as broken:
                return self._report(broken.law, f"{broken}\n\n{self._trace(number)}")
            assert len(self._worlds) <= most_states, "too many states: shrink the budgets"
        if (stuck := self._stuck()) is not None:
            return self._report(laws.FINISH, f"{laws.FINISH}\n\n{self._trace(stuck)}")
        return self._report("", "")

    def _visit(self, number: int) -> list[int]:
        """The numbers of the states that are new."""
        new: list[int] = []
        ways: array[int] = array("l")
        for step in self._steps(self._worlds[number]):
            laws.judge_count(step.world, self._budgets)
            laws.judge_memory(step.world)
            canonical = step.world.canonical()
            to = self._numbers.setdefault(canonical, len(self._worlds))
            if to == len(self._worlds):
                self._worlds.append(step.world)
                self._parents.append(number)
                self._labels.append(step.label)
                new.append(to)
            if not step.fault:
                ways.append(to)
        self._ways.append(ways)
        return new

    def _steps(self, world: World) -> Iterator[Step]:
        for index, replica in enumerate(world.replicas):
            if replica.phase is not Phase.CRASHED:
                yield from self._habits.replica(self._acts, world, index)
        yield from self._habits.fleet(self._acts, world)

    def _stuck(self) -> int | None:
        """The first state from which no way leads to the end but through another fault."""
        into: list[array[int]] = [array("l") for _ in self._worlds]
        for number, ways in enumerate(self._ways):
            for to in ways:
                into[to].append(number)
        good = bytearray(len(self._worlds))
        queue = deque(number for number, world in enumerate(self._worlds) if world.settled)
        for number in queue:
            good[number] = 1
        while queue:
            for number in into[queue.popleft()]:
                if not good[number]:
                    good[number] = 1
                    queue.append(number)
        stuck = good.find(0)
        return None if stuck < 0 else stuck

    def _trace(self, number: int) -> str:
        lines: list[str] = []
        while number >= 0:
            world = self._worlds[number]
            lines.append(f"{self._labels[number]}\n    {_brief(world.state)}\n    {_brief(world.replicas)}")
            number = self._parents[number]
        return "\n".join(reversed(lines))

    def _report(self, law: str, trace: str) -> Report:
        most = max(len(world.posts) for world in self._worlds)
        return Report(len(self._worlds), most, law, trace)


def _brief(value: object) -> str:
    """Without what says nothing."""
    if isinstance(value, Phase):
        return value.name
    if not isinstance(value, tuple):
        return repr(value)
    items = cast(tuple[object, ...], value)
    fields: tuple[str, ...] = getattr(items, "_fields", ())
    if not fields:
        return ", ".join(map(_brief, items))
    said = [f"{name}={_brief(item)}" for name, item in zip(fields, items, strict=True) if item]
    return f"{type(items).__name__}({', '.join(said)})"


def search(budgets: Budgets, replicas: int, scripts: Scripts | None = None, habits: Habits | None = None) -> Report:
    """Walk through every state of so many replicas within these budgets. `scripts`, `habits`: mutants of ours."""
    return Search(budgets, replicas, scripts or Scripts(), habits or Habits()).run()
