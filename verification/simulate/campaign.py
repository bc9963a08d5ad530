"""Seed after seed, for a given time."""

import gc
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from simulate.fleet import Outcome, simulate
from simulate.planning import plan_of

CHUNK = 20


@dataclass(frozen=True, slots=True)
class Kinds:
    """Which kinds of trouble may be drawn; none: all."""

    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that broke laws: each law with the first time it was."""

    seed: int
    laws: dict[str, str]


@dataclass
class Tally:
    """What a campaign has come to."""

    seeds: int = 0
    operations: int = 0
    posts: int = 0
    virtual: float = 0.0
    real: float = 0.0
    failures: list[Failure] = field(default_factory=list[Failure])

    def add(self, other: "Tally") -> None:
        """Another's counts to this one's."""
        self.seeds += other.seeds
        self.operations += other.operations
        self.posts += other.posts
        self.virtual += other.virtual
        self.failures += other.failures

    def laws(self) -> Counter[str]:
        """How many seeds broke each law."""
        return Counter(law for failure in self.failures for law in failure.laws)


def run_seeds(seeds: Iterable[int], kinds: Kinds, *, stop: bool = False) -> Tally:
    """One after the other, in this process. `stop`: at the first that breaks a law."""
    tally = Tally()
    for seed in seeds:
        outcome = simulate(plan_of(seed, kinds.only, kinds.without))
        tally.seeds += 1
        tally.operations += outcome.operations
        tally.posts += outcome.posts
        tally.virtual += outcome.virtual
        if outcome.broken:
            tally.failures.append(Failure(seed, _first_of_each(outcome)))
            if stop:
                break
    gc.collect()
    return tally


def _first_of_each(outcome: Outcome) -> dict[str, str]:
    laws: dict[str, str] = {}
    for broken in outcome.broken:
        laws.setdefault(broken.law, f"at {broken.at:.3f}: {broken.what}")
    return laws


def campaign(
    seeds: Iterable[int], kinds: Kinds, *, seconds: float, processes: int = 1, stop: bool = False
) -> Iterator[Tally]:
    """The tally so far, after each chunk; no chunk begins after so many seconds.

    `stop`: at the first seed that breaks a law, in one process.
    """
    began, total = time.monotonic(), Tally()
    chunks = _chunks(seeds, began + seconds)
    if processes == 1:
        for chunk in chunks:
            total.add(run_seeds(chunk, kinds, stop=stop))
            total.real = time.monotonic() - began
            yield total
            if stop and total.failures:
                return
        return
    with ProcessPoolExecutor(processes) as pool:
        waiting = [pool.submit(run_seeds, chunk, kinds) for chunk in islice(chunks, 2 * processes)]
        while waiting:
            total.add(waiting.pop(0).result())
            waiting += [pool.submit(run_seeds, chunk, kinds) for chunk in islice(chunks, 1)]
            total.real = time.monotonic() - began
            yield total


def _chunks(seeds: Iterable[int], until: float) -> Iterator[list[int]]:
    seeds = iter(seeds)
    while time.monotonic() < until and (chunk := list(islice(seeds, CHUNK))):
        yield chunk
