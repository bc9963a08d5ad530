"""Knows where a store's servers are, and refreshes that in the background."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from redis.exceptions import AuthenticationError, ConnectionError

PAUSE: Final = 0.05
"""Minimum seconds between two refreshes, however many calls fail."""

V = TypeVar("V")


class Discovery(Generic[V]):
    """A view of the servers, refreshed at intervals and when a call has invalidated it.

    Calls wait for the refresh that they requested, not for its success: if it finds nothing, the last view stays. So a
    store remains usable while the servers that know its layout are away.

    Args:
        look: finds the view. Must end by itself, sooner than a call does. The next refresh follows any exception.
        every: seconds between refreshes without a request.
        max_wait: seconds that a call waits for a refresh while there is a view.
    """

    def __init__(self, look: Callable[[], Awaitable[V]], *, every: float, max_wait: float) -> None:
        self.view: V | None = None
        self._look = look
        self._max_wait = max_wait
        self._every = every
        self._due, self._looked = asyncio.Event(), asyncio.Event()
        self._invalidated = False
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def find(self) -> V:
        """The view. Raises redis-py's ConnectionError if there has never been one."""
        if self.view is None or self._invalidated:
            await self.renewed(None if self.view is None else self._max_wait)
        if self.view is None:
            raise ConnectionError("no server of the store was found") from self._error
        return self.view

    async def renewed(self, within: float | None = None) -> bool:
        """Request a refresh and wait for its end, successful or not.

        False: it did not end within so many seconds. The last view stays.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._keep_looking(), name="store-discovery")
        self.refresh()
        try:
            async with asyncio.timeout(within):
                await self._looked.wait()
        except TimeoutError:
            return False
        return True

    def invalidate(self) -> None:
        """Have each `find` wait for a refresh."""
        self._invalidated = True
        self.refresh()

    def refresh(self) -> None:
        """Request a refresh without waiting for it."""
        self._due.set()

    async def close(self) -> None:
        """End the refreshes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _keep_looking(self) -> None:
        try:
            while True:
                self._due.clear()
                try:
                    self.view, self._error = await self._look(), None
                except Exception as error:  # noqa: BLE001 - reported by the calls, if they fail too
                    self._error = error
                except asyncio.CancelledError:
                    if (task := asyncio.current_task()) is None or task.cancelling():
                        raise
                    # Not this task was cancelled, but something that the refresh waited for.
                    self._error = ConnectionError("a refresh was cancelled")
                self._invalidated = False
                self._looked, looked = asyncio.Event(), self._looked
                looked.set()
                await asyncio.sleep(PAUSE)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await self._due.wait()
        finally:
            self._looked.set()


async def poll(questions: Iterable[Awaitable[V]], within: float) -> list[V]:
    """The answers, most frequent first. Ends when more than half of all agree, or after `within` seconds.

    Raises one of their exceptions if there is no answer.
    """
    tasks = {asyncio.ensure_future(question) for question in questions}
    majority = len(tasks) // 2 + 1
    votes, errors = Counter[V](), list[BaseException]()
    waiting = tasks
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while waiting and (not votes or votes.most_common(1)[0][1] < majority):
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for answer in done:
                        if answer.cancelled():
                            errors.append(ConnectionError("a question was cancelled"))
                        elif error := answer.exception():
                            errors.append(error)
                        else:
                            votes[answer.result()] += 1
    finally:
        await _end(tasks)
    if not votes:
        # The most informative error comes first.
        errors.sort(key=lambda error: not isinstance(error, AuthenticationError))
        raise errors[0] if errors else TimeoutError(f"no answer within {within:g} s")
    return [value for value, _ in votes.most_common()]


async def _end(tasks: Iterable[asyncio.Future[V]]) -> None:
    """Cancel those that still run. Their exceptions have been collected or do not matter any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
