"""When each key is due, and one task that handles each key then."""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.backoff import full_jitter
from mintonce_server.core.key import TokenKey

CONCURRENT: Final = 128
"""Keys that are handled at once, at most. Each issuer has a lower bound of its own (`turns`), so that an issuer that
hangs does not take all of them."""

STALE: Final = 1000
"""Places of keys that were scheduled again or cancelled, which are not worth a search."""


class Schedule:
    """A heap of (when, key): O(log n) a change, one sleeping task whatever the number of keys."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._failures: dict[TokenKey, int] = {}
        self._due: dict[TokenKey, float] = {}
        self._heap: list[tuple[float, int, TokenKey]] = []
        self._count = 0
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(CONCURRENT)
        self.running = 0
        """Keys that are handled at this moment."""

    def overdue(self) -> int:
        """Keys whose time has come and that wait for a slot. Looks at all keys."""
        now = self._clock.monotonic()
        return sum(when <= now for when in self._due.values())

    def at(self, key: TokenKey, when: float) -> None:
        """Handle the key at this time (monotonic), instead of an earlier chosen one."""
        self._due[key] = when
        self._tidy()
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, key))
        if self._heap[0][1] == self._count:
            self._changed.set()

    def cancel(self, key: TokenKey) -> None:
        """Do not handle the key."""
        self._due.pop(key, None)
        self._failures.pop(key, None)
        self._tidy()

    async def run(
        self, handle: Callable[[TokenKey], Awaitable[None]], on_error: Callable[[TokenKey, Exception], None]
    ) -> None:
        """For ever. Owns the tasks that run `handle`, which may schedule the key again.

        `on_error` gets each exception that `handle` raises; the key is tried again after a back-off.
        """
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                for key in self._take_due(self._clock.monotonic()):
                    await self._slots.acquire()
                    tasks.create_task(self._handle(key, handle, on_error), name=f"refresh {key.client}")
                await self._sleep()

    def _take_due(self, now: float) -> list[TokenKey]:
        """The keys whose time has come, first due first. A key that was scheduled again left a stale place behind."""
        due: list[TokenKey] = []
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:
                del self._due[key]
                due.append(key)
        return due

    def _tidy(self) -> None:
        """Drop the stale places once they are the most. Else a token that lives a day holds its key that long."""
        if len(self._heap) > 2 * len(self._due) + STALE:
            self._heap = [place for place in self._heap if self._due.get(place[2]) == place[0]]
            heapq.heapify(self._heap)

    async def _handle(
        self,
        key: TokenKey,
        handle: Callable[[TokenKey], Awaitable[None]],
        on_error: Callable[[TokenKey, Exception], None],
    ) -> None:
        """An unforeseen exception costs this key a pause, and no other key anything."""
        self.running += 1
        try:
            await handle(key)
        except Exception as error:  # noqa: BLE001 - reported, and the key is tried again
            on_error(key, error)
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self.at(key, self._clock.monotonic() + full_jitter(failures, self._rng))
        else:
            self._failures.pop(key, None)
        finally:
            self.running -= 1
            self._slots.release()

    async def _sleep(self) -> None:
        # A place that a later one has replaced wakes no one.
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        timeout = self._heap[0][0] - self._clock.monotonic() if self._heap else None
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return
