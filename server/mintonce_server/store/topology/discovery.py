"""Knows where a store's servers are, and looks again beside the calls."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from redis.exceptions import AuthenticationError, ConnectionError

PAUSE: Final = 0.05
"""Seconds between two looks, however many calls fail."""

V = TypeVar("V")


class Lookout(Generic[V]):
    """A view of the servers, renewed every so often and whenever somebody doubts it.

    Calls wait for the look that they asked for, not for its success: if it finds nothing, the last view holds on. So a
    store goes on being used while those that know about it are away.

    Args:
        look: finds the view. Must end by itself, sooner than a call does. Whatever it raises, the next look comes.
        every: seconds between looks that nobody asked for.
        patience: seconds that a call waits for a look while there is a view.
    """

    def __init__(self, look: Callable[[], Awaitable[V]], *, every: float, patience: float) -> None:
        self.view: V | None = None
        self._look = look
        self._patience = patience
        self._every = every
        self._due, self._looked = asyncio.Event(), asyncio.Event()
        self._doubted = False
        self._error: Exception | None = None
        self._watch: asyncio.Task[None] | None = None

    async def find(self) -> V:
        """The view. Raises redis-py's ConnectionError if there has never been one."""
        if self.view is None or self._doubted:
            await self.renewed(None if self.view is None else self._patience)
        if self.view is None:
            raise ConnectionError("the servers of the store are not to be found") from self._error
        return self.view

    async def renewed(self, within: float | None = None) -> bool:
        """Look soon, and wait for it, whether it finds anything or not.

        False: it has not ended within so many seconds. A view that there was holds on.
        """
        if self._watch is None:
            self._watch = asyncio.create_task(self._go_on_looking(), name="store-lookout")
        self.refresh()
        try:
            async with asyncio.timeout(within):
                await self._looked.wait()
        except TimeoutError:
            return False
        return True

    def doubt(self) -> None:
        """Have each `find` wait for a look."""
        self._doubted = True
        self.refresh()

    def refresh(self) -> None:
        """Look soon. Nobody waits for it."""
        self._due.set()

    async def close(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def _go_on_looking(self) -> None:
        try:
            while True:
                self._due.clear()
                try:
                    self.view, self._error = await self._look(), None
                except Exception as error:  # noqa: BLE001 - said by the calls, if they fail too
                    self._error = error
                except asyncio.CancelledError:
                    if (task := asyncio.current_task()) is None or task.cancelling():
                        raise
                    # Not we: something that the look waited for was cancelled.
                    self._error = ConnectionError("a look was cancelled")
                self._doubted = False
                self._looked, looked = asyncio.Event(), self._looked
                looked.set()
                await asyncio.sleep(PAUSE)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await self._due.wait()
        finally:
            self._looked.set()


async def poll(questions: Iterable[Awaitable[V]], within: float) -> list[V]:
    """What most answer first. Ends when more than half of all agree, or after so many seconds.

    Raises what one of them raised if nobody answered.
    """
    asked = {asyncio.ensure_future(question) for question in questions}
    majority = len(asked) // 2 + 1
    votes, errors = Counter[V](), list[BaseException]()
    waiting = asked
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
        await _end(asked)
    if not votes:
        # The one that tells people most comes first.
        errors.sort(key=lambda error: not isinstance(error, AuthenticationError))
        raise errors[0] if errors else TimeoutError(f"nobody answered within {within:g} s")
    return [value for value, _ in votes.most_common()]


async def _end(tasks: Iterable[asyncio.Future[V]]) -> None:
    """Cancel what still runs. Their exceptions have been seen, or nobody cares any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
