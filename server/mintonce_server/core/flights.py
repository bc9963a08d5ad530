"""At most one flight a key: many callers, one task."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from mintonce_server.core.key import TokenKey

T = TypeVar("T")


class Flights(Generic[T]):
    """Owns the tasks. A caller that hangs up leaves; the flight goes on for the others."""

    def __init__(self) -> None:
        self._tasks: dict[TokenKey, asyncio.Task[T]] = {}

    def __contains__(self, key: TokenKey) -> bool:
        return key in self._tasks

    async def join(self, key: TokenKey, start: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """The result of the key's flight, and whether this call started it. Raises what the flight raises."""
        task = self._tasks.get(key)
        mine = task is None or task.done()
        if task is None or task.done():
            task = self._tasks[key] = asyncio.create_task(start(), name=f"flight {key.client}")
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task), mine

    def _landed(self, key: TokenKey, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # every caller may have hung up: nobody else would look

    async def close(self, grace: float) -> None:
        """Let the flights under way land for `grace` seconds, then cancel them."""
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
