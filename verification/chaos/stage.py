"""One scenario of a fault run: load, fault, healing, and the look at what was written down."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from chaos.descriptors import counts, others
from chaos.guards import FLEET, SCOPES
from chaos.journals import steps_of, unforeseen
from chaos.machine import unprovoked
from chaos.processes import IssuerProgram, Member
from chaos.rig import TOPOLOGIES, Rig, TopologyName
from chaos.workload import Callers, Load, dated
from history.checker import Call, Fault, History, Right, Violation, check
from history.logs import names_of
from redis.exceptions import RedisError

from mintonce_server.core.key import KeyHasher
from support.eventually import eventually
from support.servers import without_ttl
from support.topologies import Topology

WARM_WITHIN: Final = 10.0
RECOVERED_WITHIN: Final = 25.0
REJECTED_WITHIN: Final = 10.0
AFTERWARDS: Final = 1.2
"""Seconds that the callers go on after the recovery: what was rejected or overtaken would show."""


@dataclass(frozen=True, slots=True)
class Side:
    """Replicas that share their tokens, the issuer at which they mint, and who called them for what."""

    issuer: IssuerProgram
    members: list[Member]
    callers: Callers
    audiences: Sequence[str]
    hasher: KeyHasher


@dataclass
class Stage:
    """What a scenario works with: the rig, keys of its own, callers.

    Attributes:
        faults: what was done, for the history.
        notes: what it measured, for the report, by name.
        broken: what it found by itself.
        lost: the keys that need not recover.
        beside: histories of other fleets on the same store, with keys of their own.
    """

    rig: Rig
    name: str
    audiences: list[str]
    chance: random.Random
    callers: Callers
    faults: list[Fault] = field(default_factory=list[Fault])
    notes: dict[str, float] = field(default_factory=dict[str, float])
    broken: list[str] = field(default_factory=list[str])
    lost: set[str] = field(default_factory=set[str])
    beside: list[History] = field(default_factory=list[History])

    def cold(self, *, recovers: bool = True, long: bool = False) -> str:
        """A key that is not in use yet. `recovers`: whether it must be well again soon. `long`: its tokens' life."""
        self.audiences.append(f"https://{'long-' * long}{self.name}.cold-{len(self.audiences)}.example.com/")
        if not recovers:
            self.lost.add(self.audiences[-1])
        return self.audiences[-1]

    def expect(self, kept: bool, promise: str) -> None:
        """Note a broken promise, and go on."""
        if not kept:
            self.broken.append(promise)

    def jtis(self, audience: str) -> list[str]:
        """The tokens that the issuer gave for this key so far, oldest first."""
        return [post.jti for post in self.rig.issuer.posts_so_far() if post.audience == audience and post.jti]

    def mints_began(self, audience: str) -> float:
        """When the first mint of this key began, by the replica's own log."""
        steps = steps_of(self.members, names_of([audience], self.rig.hasher))
        return min(step.time for step in steps if step.event == "mint_started")

    @property
    def members(self) -> list[Member]:
        return self.rig.members

    @property
    def long(self) -> str:
        """The key whose token lives long."""
        return next(audience for audience in self.audiences if audience.startswith("https://long-"))

    async def ask_all(self, audience: str, times: int = 1, deadline: float = 5.0, caller: str = FLEET) -> list[Call]:
        """Callers at every replica that runs, all at once."""
        members = [member for member in self.members if member.running and not member.stopped]
        calls = (
            self.callers.get(member, audience, deadline, caller=caller, client=member.as_caller(caller))
            for member in members * times
        )
        return await asyncio.gather(*calls)

    async def ask_for(self, seconds: float, audience: str) -> list[Call]:
        """Callers at every replica that runs, again and again."""
        calls: list[Call] = []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            calls += await self.ask_all(audience)
            await asyncio.sleep(0.05)
        return calls

    async def reject(self, member: Member, audience: str, generation: int) -> Call:
        """As an integration does that heard a 401: until it is acknowledged, for which the store is needed."""
        async with asyncio.timeout(REJECTED_WITHIN):
            while not (call := await self.callers.reject(member, audience, generation)).ok:  # noqa: ASYNC110 - calls
                await asyncio.sleep(0.05)
        return call

    @asynccontextmanager
    async def watched(self, member: Member, audience: str) -> AsyncGenerator[None]:
        """A watch, inside the block."""
        watch = asyncio.create_task(self.callers.watch(member, audience), name="watch")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def posts(self, audience: str) -> int:
        """How many the issuer had for this key so far."""
        return sum(post.audience == audience for post in self.rig.issuer.posts_so_far())

    @asynccontextmanager
    async def fault(
        self,
        target: str,
        *,
        lossy: bool = False,
        crash: bool = False,
        stall: bool = False,
        outage: bool = False,
        new_secret: bool = False,
    ) -> AsyncGenerator[None]:
        """Write a fault down, from the beginning of the block to its end."""
        kind, began = self.name.partition(".")[0], time.time()
        try:
            yield
        finally:
            self.faults.append(Fault(kind, began, time.time(), target, lossy, crash, stall, outage, new_secret))

    def get(self, member: Member, audience: str, deadline: float = 5.0) -> Coroutine[Any, Any, Call]:
        return self.callers.get(member, audience, deadline)


USUAL: Final = Load()
Inject = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A class of faults.

    Attributes:
        alone: whether nothing else may happen on the rig meanwhile. Others only concern keys of their own.
        load: what goes on beside it.
        keys: with short-lived tokens, and one with a long-lived one.
    """

    name: str
    inject: Inject
    topologies: tuple[TopologyName, ...] = TOPOLOGIES
    alone: bool = True
    load: Load = USUAL
    keys: int = 3


@dataclass
class Outcome:
    """What came out of a scenario. `excused`: calls that are not in the history, since the machine stood still.

    `beside`: the histories of other fleets; `violations` has theirs too.
    """

    scenario: Scenario
    topology: TopologyName
    seed: int
    history: History
    violations: list[Violation]
    broken: list[str]
    recovery: float
    notes: dict[str, float]
    seconds: float
    excused: int
    beside: list[History]

    @property
    def replay(self) -> str:
        return f"--seed {self.seed} --scenario {self.scenario.name} --topology {self.topology}"


async def play(rig: Rig, scenario: Scenario, seed: int) -> Outcome:
    """Run it to its end. Never raises for what it finds."""
    began = time.time()
    chance = random.Random(f"{seed} {scenario.name}")
    name = f"{scenario.name}.{seed}"
    stage = Stage(rig, name, _audiences(name, scenario.keys), chance, Callers(rig.members))
    watched = list(stage.audiences)
    before = await others(rig) if scenario.alone else {}
    recovery = RECOVERED_WITHIN
    try:
        async with stage.callers.busy(watched, scenario.load, chance) if watched else _nothing():
            await _warmed(stage, watched)
            await scenario.inject(stage)
            if scenario.alone:
                await rig.heal()
            recovery = await _recovered(stage)
            await asyncio.sleep(AFTERWARDS)
    except (TimeoutError, AssertionError, RedisError) as error:
        stage.broken.append(f"{type(error).__name__}: {error}")
        if scenario.alone:
            await rig.heal()
    history = _history(stage, began)
    stage.broken += unforeseen(rig.members, began)
    if scenario.alone:
        history.keys_without_ttl = await _without_ttl(rig.topology)
        history.counts = await counts(rig, before)
    violations = [violation for each in (history, *stage.beside) for violation in check(each)]
    return Outcome(
        scenario, rig.setup.topology, seed, history, violations, stage.broken, recovery, stage.notes,
        time.time() - began, sum(map(rig.pulse.excuses, stage.callers.calls)), stage.beside,
    )  # fmt: skip


def _audiences(name: str, keys: int) -> list[str]:
    short = [f"https://{name}.{number}.example.com/" for number in range(keys)]
    return [*short, f"https://long-{name}.example.com/"] if keys else []


@asynccontextmanager
async def _nothing() -> AsyncGenerator[None]:
    yield


async def _warmed(stage: Stage, audiences: Sequence[str]) -> None:
    """Each key has a token, and each replica has it."""
    await _until_all_well(stage, audiences, WARM_WITHIN)


async def _recovered(stage: Stage) -> float:
    """Seconds until every replica serves every key as if nothing had happened."""
    began = time.monotonic()
    await _until_all_well(
        stage, [audience for audience in stage.audiences if audience not in stage.lost], RECOVERED_WITHIN
    )
    return time.monotonic() - began


async def _until_all_well(stage: Stage, audiences: Sequence[str], within: float) -> None:
    for audience in audiences:
        await eventually(partial(_all_well, stage, audience), bool, within)


async def _all_well(stage: Stage, audience: str) -> bool:
    members = [member for member in stage.rig.members if member.running]
    calls = await asyncio.gather(*(stage.get(member, audience) for member in members))
    return all(call.ok and not call.degraded for call in calls)


def _history(stage: Stage, began: float) -> History:
    rig = stage.rig
    return history_of(
        rig, Side(rig.issuer, rig.members, stage.callers, stage.audiences, rig.hasher), stage.faults, began
    )


def history_of(rig: Rig, side: Side, faults: Sequence[Fault], began: float) -> History:
    """What was written down on one side, of its own keys."""
    now, mine = time.time(), set(side.audiences)
    posts = [post for post in side.issuer.posts_so_far() if post.audience in mine]
    names = names_of(mine, side.hasher)
    return History(
        posts=posts,
        calls=dated([call for call in side.callers.calls if not rig.pulse.excuses(call)], posts),
        steps=steps_of(side.members, names),
        faults=[*faults, *unprovoked(side.members, began, now, faults)],
        bounds=rig.setup.bounds,
        replicas=[member.name for member in side.members],
        ends=[end for member in side.members for end in member.ends if began <= end.time <= now],
        rights=[Right(caller, audience, scopes) for caller, scopes in SCOPES.items() for audience in mine],
        names=names,
    )


async def _without_ttl(topology: Topology) -> list[str]:
    found: list[str] = []
    for node in await topology.primaries():
        found += await without_ttl(node.command)
    return found
