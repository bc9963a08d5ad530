"""A second try beside a first one that is silent: its connection may be forgotten, or the server just slow."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextvars import copy_context
from typing import Generic, TypeVar

from mintonce_server.store.topology import OldConnections, Pool, noting

T = TypeVar("T")


class Tries(Generic[T]):
    """An idempotent operation, tried once; and once more, on new connections, while the first try is silent.

    The first try goes on meanwhile, and what a slow server answers to it still counts: a second try that was not needed
    does no harm. There is one only where the first used a connection that had been idle. New connections have not been,
    so that an outage gets one more try for each connection that was idle when it began, and no more.

    `is_clear`: whether an error is an answer, which another try would get as well.
    """

    def __init__(self, operation: Callable[[], Awaitable[T]], is_clear: Callable[[Exception], bool]) -> None:
        self._operation = operation
        self._is_clear = is_clear
        self._old = OldConnections()
        self._tries: list[asyncio.Task[T]] = []

    @property
    def old_pools(self) -> Collection[Pool]:
        """Where the connections that had been idle came from."""
        return self._old.pools

    @property
    def both(self) -> bool:
        """Whether there was a second try."""
        return len(self._tries) > 1

    async def first_answer(self, after: float, renew: Callable[[Collection[Pool]], Awaitable[None]]) -> T:
        """What one of the tries says; raises what the first raised if both failed.

        Args:
            after: seconds of silence until the second try.
            renew: has new connections used in place of those of these pools.
        """
        try:
            self._begin()
            done, _ = await asyncio.wait(self._tries, timeout=after)
            if not done and self._old.held:
                await renew(set(self._old.held.values()))
                self._begin()
            return await self._first_good()
        except asyncio.CancelledError:
            await self._end()
            for task in self._tries:
                if not task.cancelled() and task.exception() is None:
                    return task.result()  # it was done all the same: see link.heed_cancellation
            raise
        finally:
            await self._end()

    def _begin(self) -> None:
        context = copy_context()
        context.run(noting.set, self._old)
        task = asyncio.create_task(_awaited(self._operation), name="store-try", context=context)
        self._tries.append(task)

    async def _first_good(self) -> T:
        pending = set(self._tries)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if _ends_all(task, self._is_clear):
                    return task.result()
        return self._tries[0].result()

    async def _end(self) -> None:
        for task in self._tries:
            task.cancel()
        await asyncio.gather(*self._tries, return_exceptions=True)


async def _awaited(operation: Callable[[], Awaitable[T]]) -> T:
    return await operation()


def _ends_all(task: "asyncio.Task[T]", is_clear: Callable[[Exception], bool]) -> bool:
    if task.cancelled():
        return False
    error = task.exception()
    return error is None or not isinstance(error, Exception) or is_clear(error)
