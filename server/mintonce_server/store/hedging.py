"""A hedged operation: a second attempt on a new connection while the first one is silent.

The first attempt's connection may have been dropped by something in between, or the server may just be slow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextvars import copy_context
from typing import Generic, TypeVar

from mintonce_server.store.topology.pool import OldConnections, Pool, noting

T = TypeVar("T")


class HedgedOperation(Generic[T]):
    """An idempotent operation, attempted once, and a second time on new connections while the first is silent.

    The first attempt continues meanwhile, and its answer still counts: an unnecessary second attempt does no harm.
    There is one only if the first used a connection that had been idle. New connections have not been idle, so an
    outage causes one more attempt for each connection that was idle when it began, and no more.

    `is_final`: whether an error is an answer that another attempt would get as well.
    """

    def __init__(self, operation: Callable[[], Awaitable[T]], is_final: Callable[[Exception], bool]) -> None:
        self._operation = operation
        self._is_final = is_final
        self._old = OldConnections()
        self._attempts: list[asyncio.Task[T]] = []

    @property
    def old_pools(self) -> Collection[Pool]:
        """The pools of the connections that had been idle."""
        return self._old.pools

    @property
    def hedged(self) -> bool:
        """Whether there was a second attempt."""
        return len(self._attempts) > 1

    async def first_answer(self, after: float, renew: Callable[[Collection[Pool]], Awaitable[None]]) -> T:
        """The answer of either attempt. Raises the first attempt's error if both failed.

        Args:
            after: seconds of silence until the second attempt.
            renew: replaces the connections of these pools.
        """
        try:
            self._begin()
            done, _ = await asyncio.wait(self._attempts, timeout=after)
            if done:
                return self._attempts[0].result()
            if self._old.held:
                await renew(set(self._old.held.values()))
                self._begin()
            return await self._first_good()
        except asyncio.CancelledError:
            await self._end()
            for task in self._attempts:
                if not task.cancelled() and task.exception() is None:
                    return task.result()  # it succeeded nevertheless: see link.raise_if_cancelled
            raise
        finally:
            await self._end()

    def _begin(self) -> None:
        context = copy_context()
        context.run(noting.set, self._old)
        task = asyncio.create_task(_awaited(self._operation), name="store-attempt", context=context)
        self._attempts.append(task)

    async def _first_good(self) -> T:
        pending = set(self._attempts)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if _is_answer(task, self._is_final):
                    return task.result()
        return self._attempts[0].result()

    async def _end(self) -> None:
        if not all(task.done() for task in self._attempts):
            for task in self._attempts:
                task.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)


async def _awaited(operation: Callable[[], Awaitable[T]]) -> T:
    return await operation()


def _is_answer(task: "asyncio.Task[T]", is_final: Callable[[Exception], bool]) -> bool:
    if task.cancelled():
        return False
    error = task.exception()
    return error is None or not isinstance(error, Exception) or is_final(error)
