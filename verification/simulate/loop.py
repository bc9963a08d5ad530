"""An event loop whose time is virtual and whose order is drawn from a seed: the same seed gives the same run."""

import asyncio
import contextvars
import heapq
import itertools
import random
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVar, TypeVarTuple, cast

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TICK: Final = 1e-5
"""Seconds that running one handle takes."""


class Lane:
    """The handles of one process, first in first out, as its own event loop would run them.

    Between lanes any order is possible. The handles of a lane that is stopped or dead wait.
    """

    __slots__ = ("dead", "listed", "name", "queue", "stopped")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue: deque[asyncio.Handle] = deque()
        self.stopped = False
        self.dead = False
        self.listed = False

    def context(self) -> Context:
        """A context whose handles run on this lane; tasks started in it inherit it."""
        context = contextvars.Context()
        context.run(_LANE.set, self)
        return context


_LANE: ContextVar[Lane | None] = ContextVar("lane", default=None)

OUTSIDE: Final = contextvars.Context()
"""For what belongs to no process: the network, the servers, the callers' side."""


class _Task(asyncio.Task[Any]):
    """Hashed by its number, so that sets of tasks have the same order in every process."""

    numbers = itertools.count()

    def __init__(self, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        self.number = next(self.numbers)
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class HaltedError(Exception):
    """What was looked for has happened."""


class StuckError(Exception):
    """Nothing is left to run, and no time brings anything."""


class RunawayError(Exception):
    """More operations than any run of this length needs."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs handles lane by lane. `operations` counts the handles run."""

    def __init__(self, chance: random.Random, most: int) -> None:
        super().__init__()
        self.now = 0.0
        self.operations = 0
        self.halted = False
        self.most = most
        self._draw = chance.random
        self._outside = Lane("outside")
        self._busy: list[Lane] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """On the lane of the context."""
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """There is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """After so many virtual seconds."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """At a virtual time, or when its lane runs again."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def resume(self, lane: Lane) -> None:
        """What waited runs from now on."""
        lane.stopped = False
        self._list(lane)

    def revive(self, lane: Lane) -> None:
        """For the end of a run: what waited on a dead lane runs after all, to be cleaned up."""
        lane.dead = lane.stopped = False
        self._list(lane)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """To the end of `main`, which belongs to no process. Raises StuckError, RunawayError or HaltedError."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._finalize)
        events._set_running_loop(self)
        try:
            task = OUTSIDE.run(self.create_task, main)
            cast(Any, task)._log_destroy_pending = False  # an error that ends the run says more
            while not task.done():
                if not self._busy and not self._timers:
                    raise StuckError
                self._run_once()
                if self.halted:
                    raise HaltedError
            return task.result()
        finally:
            events._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _run_once(self) -> None:
        """All that is ready and becomes ready, a handle at a time, each of a lane that is drawn.

        When nothing is ready, time goes on to the next timer.
        """
        busy, timers, draw = self._busy, self._timers, self._draw
        while not self.halted:
            while timers and timers[0][0] <= self.now:
                timer = heapq.heappop(timers)[2]
                if not timer.cancelled():
                    self._enqueue(timer)
            if not busy:
                break
            place = int(draw() * len(busy)) if len(busy) > 1 else 0
            lane = busy[place]
            if lane.stopped or lane.dead:
                self._unlist(place)
                continue
            handle = lane.queue.popleft()
            if not lane.queue:
                self._unlist(place)
            if not handle.cancelled():
                self.now += TICK
                self.operations += 1
                if self.operations > self.most:
                    raise RunawayError
                cast(Any, handle)._run()
        if timers:
            self.now = max(self.now, timers[0][0])

    def _enqueue(self, handle: asyncio.Handle) -> None:
        context: Context = cast(Any, handle)._context
        lane = context.get(_LANE) or self._outside
        lane.queue.append(handle)
        if not lane.listed:
            self._list(lane)

    def _list(self, lane: Lane) -> None:
        if lane.queue and not lane.listed and not lane.stopped and not lane.dead:
            lane.listed = True
            self._busy.append(lane)

    def _unlist(self, place: int) -> None:
        self._busy[place].listed = False
        last = self._busy.pop()
        if place < len(self._busy):
            self._busy[place] = last

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.call_soon(self.create_task, generator.aclose())

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Its place in the heap goes when its time comes."""


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    return _Task(coro, loop=loop, **options)
