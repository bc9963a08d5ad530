"""Between a replica and the store: what is delayed, lost, late or refused there, and what the store itself refuses."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from simulate.loop import OUTSIDE, SimulatedLoop

T = TypeVar("T")

DEADLINE: Final = 0.25
"""Seconds for a whole operation, its one repetition included, as store/link.py has it."""
READS: Final = frozenset({"read", "read_all"})
"""Methods of the server that write nothing: a read-only store still does them."""
OF_ISSUERS: Final = frozenset({"enter", "learn"})
"""Methods of the server that touch no key."""


class LinkLostError(Exception):
    """The connection broke: worth one repetition."""


class StoreRefusedError(Exception):
    """The store answered with an error."""


class Mood(StrEnum):
    """What the store is able to do."""

    WELL = "well"
    DOWN = "down"  # connections are refused
    STUCK = "stuck"  # it takes commands, and does them when it is well again
    READ_ONLY = "read-only"  # it refuses writes


@dataclass
class Weather:
    """How one replica's link is. Shares are probabilities."""

    cut: bool = False  # nothing arrives, nothing comes back
    refused: bool = False
    slowest: float = 0.002  # seconds one way, at most
    lost_requests: float = 0.0
    lost_replies: float = 0.0
    late: float = 0.0  # arrives seconds later, long after its sender gave up
    lost_wakes: float = 0.0
    repeated_wakes: float = 0.0
    slowest_wake: float = 0.005
    throws: type[Exception] | None = None  # what no edge should let through


class Watcher(Protocol):
    """Sees what the server does."""

    def before(self, command: "partial[Any]", node: int) -> Any: ...
    def after(self, seen: Any, command: "partial[Any]", node: int, answer: object) -> None: ...


@dataclass
class StoreFace:
    """The server as the network sees it."""

    loop: SimulatedLoop
    watcher: Watcher
    mood: Mood = Mood.WELL
    dead_shard: frozenset[str] = frozenset()
    commands: int = 0
    _stuck: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def run(self, command: "partial[T]", node: int) -> T:
        """At once, as the scripts are atomic."""
        if self.mood is Mood.READ_ONLY and command.func.__name__ not in READS:
            raise StoreRefusedError("READONLY")
        self.commands += 1
        seen = self.watcher.before(command, node)
        answer = command()
        self.watcher.after(seen, command, node, answer)
        return answer

    def take(self, act: Callable[[], None]) -> None:
        """A command has arrived."""
        if self.mood is Mood.STUCK:
            self._stuck.append(act)
        else:
            act()

    def turn(self, mood: Mood) -> None:
        """What it could not do meanwhile it does now, late, or loses."""
        waited, self._stuck = self._stuck, []
        self.mood = mood
        if mood is not Mood.DOWN:
            for act in waited:
                self.take(act)


class Link:
    """One replica's connection. Raises LinkLostError, StoreRefusedError or TimeoutError out of `run`."""

    def __init__(self, loop: SimulatedLoop, chance: random.Random, face: StoreFace, node: int) -> None:
        self._loop = loop
        self._chance = chance
        self._face = face
        self._node = node
        self.weather = Weather()

    async def run(self, send: "Callable[[], partial[T]]") -> T:
        """As store/link.py does it: one deadline, one repetition when the connection was lost."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self._once(send)
            except LinkLostError:
                return await self._once(send)

    async def _once(self, send: "Callable[[], partial[T]]") -> T:
        if self.weather.throws is not None:
            raise self.weather.throws("an exception that the port does not know")
        command = send()
        answer: asyncio.Future[T] = self._loop.create_future()
        self._transmit(command, answer)
        return await answer

    def _transmit(self, command: "partial[T]", answer: "asyncio.Future[T]") -> None:
        weather, draw = self.weather, self._chance.random
        way = self._way()
        if weather.cut:
            return
        if weather.refused or self._face.mood is Mood.DOWN:
            self._later(way, partial(_fail, answer, LinkLostError()))
        elif draw() < weather.lost_requests:
            if draw() < 0.5:
                self._later(way, partial(_fail, answer, LinkLostError()))
        elif draw() < weather.late:
            # Its connection broke with the command in some buffer: it is done all the same, some time.
            self._later(way, partial(_fail, answer, LinkLostError()))
            self._later(self._chance.uniform(0.0, 5.0), partial(self._arrive, command, answer))
        else:
            self._later(way, partial(self._arrive, command, answer))

    def _arrive(self, command: "partial[T]", answer: "asyncio.Future[T]") -> None:
        self._face.take(partial(self._do, command, answer))

    def _do(self, command: "partial[T]", answer: "asyncio.Future[T]") -> None:
        way = self._way()
        if self._face.mood is Mood.DOWN:
            self._later(way, partial(_fail, answer, LinkLostError()))
            return
        try:
            result = self._face.run(command, self._node)
        except StoreRefusedError as error:
            self._later(way, partial(_fail, answer, error))
            return
        if self.weather.cut:
            return
        if self._chance.random() < self.weather.lost_replies:
            if self._chance.random() < 0.5:
                self._later(way, partial(_fail, answer, LinkLostError()))
        else:
            self._later(way, partial(_settle, answer, result))

    def wake_delays(self, *, is_gap: bool = False) -> list[float]:
        """When copies of a message that is published now arrive: none, one or two. A GAP is none, so it is not lost."""
        weather, draw = self.weather, self._chance.random
        if weather.cut or (not is_gap and weather.lost_wakes and draw() < weather.lost_wakes):
            return []
        copies = 2 if weather.repeated_wakes and draw() < weather.repeated_wakes else 1
        return [draw() * weather.slowest_wake for _ in range(copies)]

    def _way(self) -> float:
        return 0.0001 + self._chance.random() * self.weather.slowest

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._loop.call_later(seconds, act, context=OUTSIDE)


def _settle(answer: "asyncio.Future[T]", result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
