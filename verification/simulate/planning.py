"""A plan from a seed. Each draws a few kinds of trouble and leaves out the rest: faults then do not hide each other."""

import random
from collections.abc import Iterator

from simulate.acts import Act, Get
from simulate.chance import stream
from simulate.fleet import Event, Plan
from simulate.kinds import KINDS
from simulate.product import Settings
from simulate.scenes import scene


def plan_of(seed: int, only: frozenset[str] = frozenset(), without: frozenset[str] = frozenset()) -> Plan:
    """The same for the same words. `only` and `without` name kinds of trouble."""
    chance = stream(seed, "plan")
    kinds = sorted((only or frozenset(KINDS)) - without)
    chosen = chance.sample(kinds, min(len(kinds), chance.choice([1, 2, 3, 4, 6, 9, 12])))
    seconds = chance.choice([20.0, 40.0, 80.0])
    together = () if only else scene(chance, seconds)
    events = [*_asked(chance, seconds), *_troubles(chance, chosen, seconds), *together]
    skews = tuple(chance.choice([0.0, 0.0, -600.0, -2.0, 2.0, 600.0]) for _ in range(4))
    return Plan(
        seed,
        nodes=chance.choice([1, 2, 2, 3, 3, 4]),
        keys=chance.choice([1, 1, 2, 3]),
        lifetimes=tuple(chance.choice([10.0, 30.0, 30.0, 60.0, 300.0, 86_400.0]) for _ in range(3)),
        settings=Settings(min_rotation_interval=chance.choice([5.0, 30.0])),
        skews=skews if chance.random() < 0.3 else (),
        seconds=seconds,
        events=tuple(sorted(events, key=lambda event: event.at)),
    )


def _asked(chance: random.Random, seconds: float) -> Iterator[Act]:
    """What plain callers ask all the time."""
    rate, at = chance.choice([0.5, 2.0, 5.0]), 0.0
    while at < seconds:
        yield Get(at, chance.randrange(4), chance.randrange(3))
        if chance.random() < 0.05:
            for _ in range(8):
                yield Get(at, chance.randrange(4), chance.randrange(3))
        at += chance.expovariate(rate)


def _troubles(chance: random.Random, chosen: list[str], seconds: float) -> Iterator[Event]:
    for name in chosen:
        for _ in range(chance.choice([1, 2, 4, 8])):
            yield KINDS[name](chance, round(chance.uniform(0.0, seconds), 3))
