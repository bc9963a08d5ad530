"""From a plan that breaks a law to one with a handful of events that still breaks it."""

from collections.abc import Iterator
from dataclasses import replace

from simulate.fleet import Event, Outcome, Plan, simulate
from simulate.product import Settings

RUNS: int = 600
"""At most so many tries: a minute or so."""
SALTS = (0, 1, 2)
"""Other orders that are tried for each plan: what is left out moves the rest."""


class Shrinker:
    """Leaves out what the law can be broken without."""

    def __init__(self, plan: Plan, law: str, runs: int = RUNS) -> None:
        self.plan = plan
        self._law = law
        self._left = runs

    def shrink(self) -> Plan:
        """The smallest plan found. Raises ValueError if the plan breaks no such law."""
        self._cut_off()
        self._halve()
        for simpler in self._simpler():
            self._take(simpler)
        self._halve()
        return self.plan

    def _cut_off(self) -> None:
        """Nothing after the law was broken matters."""
        at = self._breaks(self.plan)
        if at is None:
            raise ValueError(f"the plan does not break {self._law}")
        self._take(replace(self.plan, seconds=min(at, self.plan.seconds), events=_until(self.plan.events, at)))

    def _halve(self) -> None:
        """Delta debugging: leave out big parts first, then smaller ones."""
        size = max(1, len(self.plan.events) // 2)
        while True:
            place, shorter = 0, False
            while place < len(self.plan.events):
                events = self.plan.events
                fewer = events[:place] + events[place + size :]
                if self._take(replace(self.plan, events=fewer)):
                    shorter = True
                else:
                    place += size
            if size == 1 and not shorter:
                return
            size = max(1, size // 2)

    def _simpler(self) -> Iterator[Plan]:
        yield replace(self.plan, skews=())
        yield replace(self.plan, settings=Settings())
        yield replace(self.plan, keys=1)
        for nodes in range(1, self.plan.nodes):
            yield replace(self.plan, nodes=nodes)

    def _take(self, plan: Plan) -> bool:
        """Whether it breaks the law too, in some order; from then on it is the plan."""
        if plan == self.plan:
            return False
        few = len(plan.events) <= 40
        for salt in dict.fromkeys((self.plan.salt, *SALTS)) if few else (self.plan.salt,):
            salted = replace(plan, salt=salt)
            if self._breaks(salted) is not None:
                self.plan = salted
                return True
        return False

    def _breaks(self, plan: Plan) -> float | None:
        """When it breaks the law."""
        if self._left <= 0:
            return None
        self._left -= 1
        outcome = simulate(plan, wanted=self._law)
        return next((broken.at for broken in outcome.broken if broken.law == self._law), None)


def _until(events: tuple[Event, ...], at: float) -> tuple[Event, ...]:
    return tuple(event for event in events if event.at <= at)


def story(plan: Plan, law: str, lines: int) -> str:
    """A plan for people: what was set up, what happened, and the end of the trace."""
    outcome: Outcome = simulate(plan, verbose=True, wanted=law)
    setup = f"{plan.nodes} replicas, {plan.keys} keys, tokens live {plan.lifetimes[: plan.keys]} s, {plan.settings}"
    skews = f", clocks {plan.skews}" if plan.skews else ""
    events = [f"  {event}" for event in plan.events]
    broken = [f"BROKEN {broken}" for broken in outcome.broken if broken.law == law][:1]
    return "\n".join([f"{setup}{skews}, salt {plan.salt}", *events, *outcome.lines[-lines:], *broken])
