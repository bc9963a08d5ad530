"""One replica: the real broker with its background tasks, on a lane of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from simulate import product
from simulate.issuer import IssuerEdge, Post
from simulate.ledger import Entry
from simulate.loop import OUTSIDE, Lane
from simulate.network import Link
from simulate.state import NodeState
from simulate.times import HostClock

from mintonce_server.core.broker import Broker
from mintonce_server.core.events import Cause, Event, MintStarted
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Minted, Token

if TYPE_CHECKING:
    from simulate.fleet import Fleet

GRACE: Final = 3.0
"""Seconds for mints under way when a replica leaves."""


class Node:
    """Started, stopped, resumed, killed and started again."""

    def __init__(self, fleet: "Fleet", index: int) -> None:
        self.fleet = fleet
        self.state = NodeState(index)
        self.settings = product.Settings()
        self.link = Link(fleet.loop, fleet.chances["network"], fleet.face, index)
        self.skew = 0.0
        self.lane = Lane(f"node {index}")
        self.lanes: list[Lane] = []
        self.broker: Broker | None = None
        self.store: product.ReplicaStore | None = None
        self.clock: HostClock | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.leaving = False
        self._leaving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A process, with nothing in its memory."""
        fleet, state = self.fleet, self.state
        state.is_up, state.is_stopped, state.booted_at = True, False, fleet.world.now
        state.version, self.leaving = self.settings.version, False
        self.lane = Lane(f"node {state.index}")
        self.lanes.append(self.lane)
        self.clock = HostClock(fleet.loop, fleet.chances["hosts"].uniform(0.0, 1e6), self.skew)
        self.store = product.ReplicaStore(
            self.clock,
            self.settings.lease_seconds,
            fleet.view.server,
            self.link,
            failed=self._store_failed,
            later=_later(fleet),
            now=fleet.loop.time,
            learned=self._learned,
        )
        self.lane.context().run(self._build)
        fleet.world.trace("start", state.index, self.settings)

    def _build(self) -> None:
        assert self.store
        assert self.clock
        edge = IssuerEdge(self.fleet.issuer, self.clock, self.fleet.loop, self._posted)
        self.broker = product.broker_of(self.settings, self.store, edge, self.clock, self._happened)
        self.tasks = [
            self.fleet.loop.create_task(task) for task in product.background(self.broker, self.clock, self._failed)
        ]
        for number, task in enumerate(self.tasks):
            task.add_done_callback(partial(self._background_ended, number), context=OUTSIDE)

    def kill(self) -> None:
        """Nothing of it runs any more."""
        if self.state.is_up:
            self.lane.dead = True
            self._down("kill")

    def leave(self) -> None:
        """As on SIGTERM: watches end, mints land, then the process ends."""
        if self.state.is_up and not self.leaving and not self.state.is_stopped:
            self.leaving = True
            self.fleet.world.trace("leave", self.state.index)
            self._leaving = self.spawn(self._leave())

    async def _leave(self) -> None:
        assert self.broker
        self.broker.drain()
        mine = {task: call for task, call in self.fleet.calls.items() if call.node is self}
        if mine:
            _, late = await asyncio.wait(mine, timeout=GRACE)
            for task in sorted(late, key=hash):
                mine[task].hang_up(task)
        began = self.fleet.world.now
        await self.broker.close(GRACE)
        if self.fleet.world.now - began > GRACE + 1.0 and not self.state.troubled(began):
            self.fleet.world.broken("H9", f"node {self.state.index} took more than its grace to leave")
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.fleet.loop.call_later(0.0, self._left, self.lane, context=OUTSIDE)

    def _left(self, lane: Lane) -> None:
        if lane is self.lane and self.state.is_up:
            lane.dead = True
            self._down("left")

    def _down(self, how: str) -> None:
        state = self.state
        state.is_up = state.is_stopped = False
        state.booted_at = self.fleet.world.now
        state.held.clear()
        state.failed.clear()
        self.fleet.world.trace(how, state.index)
        self.fleet.ledger.killed(state.index)
        self.fleet.calls = {task: call for task, call in self.fleet.calls.items() if call.node is not self}
        self.broker = None
        if self.store is not None:
            self.store.mute()

    def stop(self) -> None:
        """As by SIGSTOP."""
        if self.state.is_up and not self.state.is_stopped:
            self.lane.stopped = True
            self.state.is_stopped, self.state.stopped_at = True, self.fleet.world.now
            self.fleet.world.trace("stop", self.state.index)

    def resume(self) -> None:
        """As by SIGCONT."""
        if self.state.is_stopped:
            self.state.is_stopped, self.state.resumed_at = False, self.fleet.world.now
            self.fleet.world.trace("resume", self.state.index)
            self.fleet.loop.resume(self.lane)

    def reconnected(self) -> None:
        """The subscription broke and is back."""
        if self.store is not None and self.state.is_up:
            self.store.tell(product.GAP)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Something that this process does because it was asked."""
        return self.fleet.loop.create_task(work, context=self.lane.context())

    def _learned(self, token: Token) -> None:
        if token.credential_version >= self.state.version:  # else it is of no use here
            self.state.held[token.key] = self.fleet.issuer.issued[token.access_token.reveal()]

    def _store_failed(self) -> None:
        self.state.store_failed = self.fleet.world.now

    def _happened(self, event: Event) -> None:
        self.fleet.world.note("event", self.state.index, event)
        if self.store and isinstance(event, MintStarted) and event.cause is Cause.OUTAGE:
            # It had a lease, perhaps, and could not have that confirmed.
            self.store.leases.pop(self.fleet.laws.keys[event.key_hash], None)

    def _background_ended(self, number: int, task: "asyncio.Task[None]") -> None:
        if self.leaving or task.cancelled():
            return
        self.fleet.world.broken(
            "H15", f"background task {number} of node {self.state.index} ended: {task.exception()!r}"
        )

    def _failed(self, name: str, error: Exception) -> None:
        self.fleet.world.broken("H15", f"{name} of node {self.state.index} failed: {error!r}")

    def _posted(self, key: TokenKey) -> Post:
        assert self.store
        lease = self.store.leases.pop(key, None)
        return _Told(self, self.fleet.ledger.post(self.state, key, lease))


class _Told(Post):
    def __init__(self, node: Node, entry: Entry) -> None:
        self._node = node
        self._entry = entry
        self._boot = node.state.booted_at

    def ended(self, minted: Minted | None, error: BaseException | None) -> None:
        fleet = self._node.fleet
        if self._boot == self._node.state.booted_at:
            fleet.ledger.ended(self._entry, minted, error)
            fleet.world.moment("GOT", self._node.state.index)
            what = minted.access_token.reveal() if minted else type(error).__name__
            fleet.world.trace("posted", self._entry.number, what)


def _later(fleet: "Fleet") -> Callable[[float, Callable[[], None]], None]:
    def later(seconds: float, act: Callable[[], None]) -> None:
        fleet.loop.call_later(seconds, act, context=OUTSIDE)

    return later
