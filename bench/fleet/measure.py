"""Herd, rotation and cold calls on several replicas, and the floor of this machine beside them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Final

from bench.fleet.bursts import Burst, Round
from bench.fleet.jobs import run_bursts, run_singles
from bench.fleet.listener import Commits, listening
from bench.fleet.programs import CLIENT_ID, Issuer, Program, Surroundings, surroundings
from bench.fleet.singles import Singles, Timed
from bench.redis_get import redis_latency

HEARD_WITHIN: Final = 5.0


@dataclass(frozen=True)
class FleetEffort:
    """How many replicas; callers in all; rounds; seconds in which all of a round can have asked; single calls."""

    replicas: int
    callers: int
    rounds: int
    pause: float
    calls: int


@dataclass(frozen=True)
class Lags:
    """Seconds from the commit (or release) to each caller's answer, a list a round, sorted."""

    rounds: Sequence[Sequence[float]]

    @classmethod
    def of(cls, rounds: Sequence[Round], commits: Commits) -> "Lags":
        """The commit is when the listener heard of it; if a caller had its answer before, that moment."""
        began = [min(commits[one.generation], *one.times) for one in rounds]
        return cls([sorted(at - start for at in one.times) for one, start in zip(rounds, began, strict=True)])

    def percentile(self, percent: float) -> float:
        """Over all answers of all rounds (nearest rank)."""
        every = sorted(lag for one in self.rounds for lag in one)
        return every[ceil(len(every) * percent / 100) - 1]

    def first(self) -> float:
        """Of each round, the first answer; of these, the median."""
        return median(one[0] for one in self.rounds)

    def last(self) -> Sequence[float]:
        """Of each round, the last answer; sorted."""
        return sorted(one[-1] for one in self.rounds)


@dataclass(frozen=True)
class FleetMeasured:
    """Seconds. `few`: a twentieth of the callers, where the answers' own cost is small."""

    replicas: int
    callers: int
    few: int
    redis: Sequence[float]
    singles: Timed
    herd: Lags
    few_herd: Lags
    floor_herd: Lags
    watchers: Lags
    few_watchers: Lags
    floor_watchers: Lags


async def measure_fleet(effort: FleetEffort) -> FleetMeasured:
    """A minute or two."""
    async with surroundings() as here:
        issuer = await here.issuer()
        # One alone first: replicas that are idle still hear every commit, on the same cores.
        alone = await here.replica(issuer)
        job = Singles(alone.target, issuer.token_url, CLIENT_ID, issuer.secret, effort.calls)
        redis, singles = await redis_latency(), await run_singles(job)
        others = await asyncio.gather(*(here.replica(issuer) for _ in range(effort.replicas - 1)))
        replicas, few = [alone, *others], max(effort.replicas, effort.callers // 20)
        few_herd, few_watchers = await _bursts(here, replicas, issuer, effort, few)
        herd, watchers = await _bursts(here, replicas, issuer, effort, effort.callers)
    # In surroundings of their own: the replicas would hear the releases, too.
    async with surroundings() as here:
        floors = await asyncio.gather(*(here.floor() for _ in range(effort.replicas)))
        floor_herd, floor_watchers = await _bursts(here, floors, None, effort, effort.callers)
    return FleetMeasured(
        replicas=effort.replicas,
        callers=effort.callers,
        few=few,
        redis=redis,
        singles=singles,
        herd=herd,
        few_herd=few_herd,
        floor_herd=floor_herd,
        watchers=watchers,
        few_watchers=few_watchers,
        floor_watchers=floor_watchers,
    )


async def _bursts(
    here: Surroundings, servers: Sequence[Program], issuer: Issuer | None, effort: FleetEffort, callers: int
) -> tuple[Lags, Lags]:
    """A herd, then watchers. Without an issuer, these are floor servers."""
    targets = [server.target for server in servers]
    job = Burst(targets, callers, effort.rounds, effort.pause, None if issuer else here.redis_url)
    if issuer:
        await issuer.latency(effort.pause)
    herd = await _lags("herd", here, job)
    if issuer:
        await issuer.latency(0.0)
    return herd, await _lags("watchers", here, job)


async def _lags(what: str, here: Surroundings, job: Burst) -> Lags:
    async with listening(here.redis_url) as commits:
        rounds = await run_bursts(what, job)
        async with asyncio.timeout(HEARD_WITHIN):
            while not all(one.generation in commits for one in rounds):  # noqa: ASYNC110 - another process tells
                await asyncio.sleep(0.01)
        return Lags.of(rounds, commits)
