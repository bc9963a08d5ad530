"""What goes wrong. Each fault happens at a time of the run and ends by itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from simulate import product
from simulate.acts import Act
from simulate.issuer import Mode
from simulate.loop import OUTSIDE
from simulate.network import Mood, Weather
from simulate.node import Node

if TYPE_CHECKING:
    from simulate.fleet import Fleet


FAILOVER_TAKES = 0.05
"""Seconds. Shorter than any real one, so that much is under way while it lasts."""

Changes = tuple[tuple[str, Any], ...]
"""Names of fields with their new values."""


@dataclass(frozen=True)
class Fault:
    """Something that happens at a time of the run."""

    at: float

    def happen(self, fleet: "Fleet") -> None:
        """Now."""
        raise NotImplementedError


def _after(fleet: "Fleet", seconds: float, act: Callable[[], None]) -> None:
    fleet.world.trouble(seconds)
    fleet.loop.call_later(seconds, act, context=OUTSIDE)


@dataclass(frozen=True)
class NodeFault(Fault):
    """Something that happens to one replica."""

    node: int

    def happen(self, fleet: "Fleet") -> None:
        self.hit(fleet, fleet.nodes[self.node % len(fleet.nodes)])

    def hit(self, fleet: "Fleet", node: Node) -> None:
        """Now."""
        raise NotImplementedError


@dataclass(frozen=True)
class Kill(NodeFault):
    """SIGKILL, and a new process after some seconds, perhaps with other settings."""

    down: float
    settings: Changes = ()
    gently: bool = False

    def hit(self, fleet: "Fleet", node: Node) -> None:
        if self.gently:
            node.leave()
        else:
            node.kill()
        _after(fleet, self.down, partial(self._back, fleet, node))

    def _back(self, fleet: "Fleet", node: Node) -> None:
        if node.state.is_up:
            if self.gently and node.leaving:
                _after(fleet, 0.5, partial(self._back, fleet, node))
            return
        node.settings = replace(node.settings, **dict(self.settings))
        fleet.settings_changed()
        node.start()


@dataclass(frozen=True)
class Stop(NodeFault):
    """SIGSTOP, and SIGCONT after some seconds."""

    seconds: float

    def hit(self, fleet: "Fleet", node: Node) -> None:
        node.stop()
        _after(fleet, self.seconds, node.resume)


@dataclass(frozen=True)
class Storm(NodeFault):
    """A link as bad as this, for some seconds."""

    seconds: float
    weather: Changes

    def hit(self, fleet: "Fleet", node: Node) -> None:
        node.link.weather = replace(Weather(), **dict(self.weather))
        _after(fleet, self.seconds, partial(self._over, node))

    def _over(self, node: Node) -> None:
        node.link.weather = Weather()
        node.reconnected()


@dataclass(frozen=True)
class Throws(NodeFault):
    """The store's edge lets an exception through that it should not."""

    seconds: float

    def hit(self, fleet: "Fleet", node: Node) -> None:
        node.link.weather = Weather(throws=ZeroDivisionError)
        _after(fleet, self.seconds, partial(self._over, node))

    def _over(self, node: Node) -> None:
        node.link.weather = Weather()


@dataclass(frozen=True)
class HostClock(NodeFault):
    """The host's wall clock steps."""

    step: float

    def hit(self, fleet: "Fleet", node: Node) -> None:
        node.skew += self.step
        if node.clock is not None:
            node.clock.skew = node.skew
        fleet.world.trace("host clock", node.state.index, self.step)


@dataclass(frozen=True)
class Forge(NodeFault):
    """A message that no script has sent reaches the replica's core."""

    key: int
    kind: str
    generation: int

    def hit(self, fleet: "Fleet", node: Node) -> None:
        key = fleet.keys[self.key % len(fleet.keys)]
        seen = fleet.seen.get(key)
        generation = self.generation if self.generation > 1 or not seen else seen[-1][0] + self.generation
        if node.store is not None and node.state.is_up:
            node.store.tell(product.forged(self.kind, product.HASHER(key), generation))


@dataclass(frozen=True)
class StoreMood(Fault):
    """The store is down, stuck or read-only for some seconds."""

    mood: Mood
    seconds: float

    def happen(self, fleet: "Fleet") -> None:
        fleet.face.turn(self.mood)
        fleet.world.trace("store is", self.mood)
        _after(fleet, self.seconds, partial(self._over, fleet))

    def _over(self, fleet: "Fleet") -> None:
        if fleet.face.mood is self.mood:
            fleet.face.turn(Mood.WELL)
            fleet.world.trace("store is", Mood.WELL)
            if self.mood is not Mood.READ_ONLY:
                fleet.reconnected()


@dataclass(frozen=True)
class Loss(Fault):
    """The store loses everything, or (`key`) all of one key, or (`record`) its record; `gap`: connections break too."""

    key: int | None = None
    record: bool = False
    gap: bool = False

    def happen(self, fleet: "Fleet") -> None:
        name = None if self.key is None else product.HASHER(fleet.keys[self.key % len(fleet.keys)])
        fleet.lost(name)
        if self.record and name is not None:
            fleet.view.evict(name)
        else:
            fleet.view.lose(name)
        fleet.world.trace("loss", self.key, self.record)
        if self.gap:
            fleet.reconnected()


@dataclass(frozen=True)
class Failover(Fault):
    """A replica of the store takes over that had what was written until `lag` seconds ago; its clock may differ."""

    lag: float
    step: float = 0.0

    def happen(self, fleet: "Fleet") -> None:
        fleet.lost(None)
        fleet.view.server.entries = fleet.snapshot(self.lag)
        fleet.kept_again()
        fleet.world.trace("failover", self.lag, self.step)
        if self.step:
            fleet.step_store(self.step)
        fleet.face.turn(Mood.DOWN)
        _after(fleet, FAILOVER_TAKES, partial(self._over, fleet))

    def _over(self, fleet: "Fleet") -> None:
        if fleet.face.mood is Mood.DOWN:
            fleet.face.turn(Mood.WELL)
            fleet.reconnected()


@dataclass(frozen=True)
class StoreClock(Fault):
    """The wall clock of the store's host steps."""

    step: float

    def happen(self, fleet: "Fleet") -> None:
        fleet.world.trace("store clock", self.step)
        fleet.step_store(self.step)


@dataclass(frozen=True)
class Issuing(Fault):
    """The issuer behaves like this for some seconds."""

    mode: Mode
    seconds: float
    retry_after: int = 5

    def happen(self, fleet: "Fleet") -> None:
        fleet.issuer.mode, fleet.issuer.retry_after = self.mode, self.retry_after
        fleet.world.trace("issuer", self.mode)
        _after(fleet, self.seconds, partial(self._over, fleet))

    def _over(self, fleet: "Fleet") -> None:
        if fleet.issuer.mode is self.mode:
            fleet.issuer.mode = Mode.WELL
            fleet.world.trace("issuer", Mode.WELL)


@dataclass(frozen=True)
class Lifetime(Fault):
    """Tokens of a key live this long from now on."""

    key: int
    seconds: float

    def happen(self, fleet: "Fleet") -> None:
        fleet.issuer.lifetimes[fleet.keys[self.key % len(fleet.keys)]] = self.seconds


class Moment(StrEnum):
    """When an armed event happens: the next time that some replica comes to this."""

    GRANTED = "its lease is granted, and the answer is on its way"
    POST = "its POST begins"
    GOT = "its POST is answered, and it has not committed yet"
    COMMITTED = "its token is stored, and the answer is on its way"
    REJECTED = "its rejection is done, and the answer is on its way"


@dataclass(frozen=True)
class Armed(Fault):
    """An event that waits for a moment of some replica, and then happens to that one."""

    moment: Moment
    event: "Act | Fault"

    def happen(self, fleet: "Fleet") -> None:
        fleet.world.armed.setdefault(self.moment.name, []).append(partial(self._now, fleet))

    def _now(self, fleet: "Fleet", node: int) -> None:
        fleet.world.trace("armed", self.moment.name, node)
        event = self.event
        (replace(event, node=node) if isinstance(event, NodeFault | Act) else event).happen(fleet)


@dataclass(frozen=True)
class Series(NodeFault):
    """Events one after the other: their times count from this one's, and their replicas from this one's replica."""

    events: "tuple[Act | Fault, ...]"

    def hit(self, fleet: "Fleet", node: Node) -> None:
        for event in self.events:
            here = replace(event, node=event.node + self.node) if isinstance(event, NodeFault | Act) else event
            if event.at > 0.0:
                _after(fleet, event.at, partial(here.happen, fleet))
            else:
                here.happen(fleet)
