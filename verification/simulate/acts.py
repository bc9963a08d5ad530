"""What callers do: everything that the API can carry."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulate import product
from simulate.loop import OUTSIDE
from simulate.node import Node

from mintonce_server.core.broker import Broker, Served
from mintonce_server.core.errors import MintonceError
from mintonce_server.core.key import TokenKey

if TYPE_CHECKING:
    from simulate.fleet import Fleet

LATE: Final = 0.3
"""Seconds after its deadline that a call may end: what it asked the store last is under way."""
REJECT_MAX: Final = 2.0
LIST_MAX: Final = 5.3


@dataclass(frozen=True)
class Act:
    """Something that a caller asks of one replica at a time of the run."""

    at: float
    node: int
    key: int

    def happen(self, fleet: "Fleet") -> None:
        """Unless the replica is not there."""
        node = fleet.nodes[self.node % len(fleet.nodes)]
        broker = node.broker
        if broker is None or node.leaving:
            return
        call = Call(fleet, node, broker, fleet.keys[self.key % len(fleet.keys)])
        self.begin(call)

    def begin(self, call: "Call") -> None:
        """Ask."""
        raise NotImplementedError


@dataclass(frozen=True)
class Get(Act):
    """GetToken."""

    min_ttl: float = 0.0
    deadline: float = 15.0
    cancel: float | None = None

    def begin(self, call: "Call") -> None:
        if self.min_ttl:
            wishes = call.fleet.ledger.wishes.setdefault(call.key, [])
            wishes.append((call.fleet.world.now + self.deadline + 30.0, self.min_ttl))
        call.start("get", self._get, self.deadline + LATE, self.deadline, self.cancel)

    async def _get(self, call: "Call") -> None:
        call.served(await product.get(call.broker, call.key, self.min_ttl, self.deadline))


@dataclass(frozen=True)
class Watch(Act):
    """WatchToken, for some seconds."""

    seconds: float = 10.0
    deadline: float = 15.0

    def begin(self, call: "Call") -> None:
        call.start("watch", self._watch, None, self.deadline, self.seconds)

    async def _watch(self, call: "Call") -> None:
        last, ends = 0, 0.0
        async with aclosing(product.watch(call.broker, call.key, self.deadline)) as watch:
            async for served in watch:
                call.served(served, watching=True)
                token = served.token
                if token.generation <= last and call.fleet.world.now < ends:
                    call.fleet.world.broken("watch", f"generation {token.generation} came after {last}, which is live")
                assert call.node.clock
                left = token.remaining(call.node.clock.monotonic())
                last, ends = token.generation, call.fleet.world.now + left


@dataclass(frozen=True)
class Reject(Act):
    """RejectToken. `what`: "current", "older", "+1", a number, or one of these by "sha "."""

    what: str = "current"

    def begin(self, call: "Call") -> None:
        named = self._named(call)
        if named is not None:
            call.named = named
            call.fleet.laws.named(call.key, named, call.fleet.by_sha)
            call.start("reject", self._reject, REJECT_MAX, 0.0, None)

    def _named(self, call: "Call") -> int | bytes | None:
        what, by_sha = self.what.removeprefix("sha "), self.what.startswith("sha ")
        seen = call.fleet.seen.get(call.key, [])
        if what.isdigit():
            return hashlib.sha256(what.encode()).digest() if by_sha else int(what)
        place = -2 if what == "older" else -1
        if len(seen) < -place:
            return None
        generation, text = seen[place]
        if by_sha:
            return hashlib.sha256(text.encode()).digest()
        return generation + 1 if what == "+1" else generation

    async def _reject(self, call: "Call") -> None:
        named = call.named
        if await product.reject(call.broker, call.key, named):
            call.fleet.laws.acknowledged(call.node.state, call.key, named, call.fleet.by_sha)
        else:
            call.fleet.laws.not_current(call.key, named)
        call.fleet.world.trace("rejected", call.node.state.index, self.what)


@dataclass(frozen=True)
class Rotate(Act):
    """RotateToken."""

    deadline: float = 15.0

    def begin(self, call: "Call") -> None:
        call.fleet.ledger.rotations[call.key] = call.fleet.world.now + self.deadline + 30.0
        call.start("rotate", self._rotate, self.deadline + REJECT_MAX, self.deadline, None)

    async def _rotate(self, call: "Call") -> None:
        before, after = await product.rotate(call.broker, call.key, self.deadline)
        if after <= before:
            call.fleet.world.broken("rotate", f"generation {before} became {after}")


@dataclass(frozen=True)
class List(Act):
    """ListTokens."""

    limit: int = 10

    def begin(self, call: "Call") -> None:
        call.start("list", self._list, LIST_MAX, 0.0, None)

    async def _list(self, call: "Call") -> None:
        if len(await product.list_tokens(call.broker, self.limit)) > self.limit:
            call.fleet.world.broken("list", "more tokens than were asked for")


class Call:
    """One call under way."""

    def __init__(self, fleet: "Fleet", node: Node, broker: Broker, key: TokenKey) -> None:
        self.fleet = fleet
        self.node = node
        self.broker = broker
        self.key = key
        self.named: int | bytes = 0
        self.began = fleet.world.now
        self.task: asyncio.Task[None] | None = None
        self._cancelled = False
        self.what = ""
        self.deadline = 0.0

    def start(
        self,
        what: str,
        work: "Callable[[Call], Awaitable[None]]",
        limit: float | None,
        deadline: float,
        cancel: float | None,
    ) -> None:
        """In the replica's process. `limit`: seconds until it must have ended; `cancel`: until its caller leaves."""
        self.what, self.deadline = what, deadline
        self.task = task = self.node.spawn(self._run(work, limit))
        self.fleet.calls[task] = self
        task.add_done_callback(self._ended, context=OUTSIDE)
        if cancel is not None:
            self.fleet.loop.call_later(cancel, self.hang_up, task, context=OUTSIDE)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.fleet.calls.pop(task, None)

    def hang_up(self, task: "asyncio.Task[None]") -> None:
        """Its caller leaves, or its server ends it."""
        self._cancelled = True
        task.cancel()

    async def _run(self, work: "Callable[[Call], Awaitable[None]]", limit: float | None) -> None:
        world, state = self.fleet.world, self.node.state
        self.began = world.now
        try:
            await work(self)
        except asyncio.CancelledError:
            if not self._cancelled and not self.fleet.ending:
                world.broken("H15", f"{self.what} at node {state.index} was cancelled without a cause")
            raise
        except MintonceError as error:
            self.fleet.laws.failed(state, self, error)
        except Exception as error:  # noqa: BLE001 - that is the law
            world.broken("H15", f"{self.what} at node {state.index} raised {type(error).__name__}: {error}")
        took = world.now - self.began
        if limit is not None and took > limit and not (state.resumed_at >= self.began):
            world.broken("H9", f"{self.what} at node {state.index} took {took:.3f} s, at most {limit:.3f}")

    def served(self, served: Served, *, watching: bool = False) -> None:
        """The caller has this."""
        began = self.fleet.world.now if watching else self.began
        self.fleet.laws.served(self.node.state, self.key, served, began)
        self.fleet.saw(self.key, served)
