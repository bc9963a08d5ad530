"""Knows when each key is due, and sees to it then."""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from typing import Final

from mintonce_server.core.backoff import full_jitter
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Clock

CONCURRENT: Final = 128
"""At most this many refreshes at once. Each issuer has a lower bound of its own (`turns`), so that one which hangs does
not take all of them."""

STALE: Final = 1000
"""Places of keys that were scheduled again or forgotten, which are not worth a search."""


class Refresher:
    """A heap of (when, key): O(log n) a change, one sleeping task whatever the number of keys.

    `refresh` is called for a due key. It decides whether anything is to be done, and may `schedule` the key again.
    """

    def __init__(
        self,
        clock: Clock,
        refresh: Callable[[TokenKey], Awaitable[None]],
        on_fault: Callable[[TokenKey, Exception], None],
        chance: random.Random,
    ) -> None:
        """`on_fault` gets each exception that `refresh` raised; the key is tried again after a back-off."""
        self._clock = clock
        self._refresh = refresh
        self._on_fault = on_fault
        self._chance = chance
        self._failures: dict[TokenKey, int] = {}
        self._due: dict[TokenKey, float] = {}
        self._heap: list[tuple[float, int, TokenKey]] = []
        self._count = 0
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(CONCURRENT)

    def schedule(self, key: TokenKey, at: float) -> None:
        """See to the key at this time (monotonic) and no more at an earlier chosen one."""
        self._due[key] = at
        self._tidy()
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        if self._heap[0][1] == self._count:
            self._changed.set()

    def forget(self, key: TokenKey) -> None:
        """See to the key no more."""
        self._due.pop(key, None)
        self._tidy()

    async def run(self) -> None:
        """Forever. Owns the refreshes under way."""
        async with asyncio.TaskGroup() as refreshes:
            while True:
                self._changed.clear()
                for key in self._take_due(self._clock.monotonic()):
                    await self._slots.acquire()
                    refreshes.create_task(self._see_to(key), name=f"refresh {key.client}")
                await self._sleep()

    def _take_due(self, now: float) -> list[TokenKey]:
        """The keys whose time has come, first due first. A key that was scheduled anew left a stale place behind."""
        due: list[TokenKey] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                due.append(key)
        return due

    def _tidy(self) -> None:
        """Drop the stale places once they are the most: a token that lives a day would else hold its key that long."""
        if len(self._heap) > 2 * len(self._due) + STALE:
            self._heap = [place for place in self._heap if self._due.get(place[2]) == place[0]]
            heapq.heapify(self._heap)

    async def _see_to(self, key: TokenKey) -> None:
        """An unforeseen exception costs this key a pause, and no other key anything."""
        try:
            await self._refresh(key)
        except Exception as error:  # noqa: BLE001 - reported, and the key is tried again
            self._on_fault(key, error)
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self.schedule(key, self._clock.monotonic() + full_jitter(failures, self._chance))
        else:
            self._failures.pop(key, None)
        finally:
            self._slots.release()

    async def _sleep(self) -> None:
        # Nobody is woken for a place that a later one has replaced.
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        timeout = self._heap[0][0] - self._clock.monotonic() if self._heap else None
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return
