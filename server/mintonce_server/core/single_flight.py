"""At most one task a key in this process, however many callers want its result."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from mintonce_server.core.key import TokenKey

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Owns the tasks. A caller that hangs up leaves; the task goes on for the others."""

    def __init__(self) -> None:
        self._tasks: dict[TokenKey, asyncio.Task[T]] = {}
        self.waiters = 0
        """Callers that wait for a task."""

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: object) -> bool:
        return key in self._tasks

    async def run(self, key: TokenKey, start: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """The result of the key's task, and whether this call started it. Raises what the task raises."""
        task = self._tasks.get(key)
        started_here = task is None or task.done()
        if task is None or task.done():
            task = self._tasks[key] = asyncio.create_task(start(), name=f"flight {key.client}")
            task.add_done_callback(lambda done: self._ended(key, done))
        self.waiters += 1
        try:
            return await asyncio.shield(task), started_here
        finally:
            self.waiters -= 1

    def _ended(self, key: TokenKey, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # every caller may have hung up: then nothing else reads it

    async def close(self, grace: float) -> None:
        """Let the running tasks end for `grace` seconds, then cancel them."""
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class Wakeups:
    """Passes wake messages of the store to the one task that a key may have here."""

    def __init__(self) -> None:
        self._listeners: dict[str, asyncio.Event] = {}

    def notify(self, key_hash: str) -> None:
        if listener := self._listeners.get(key_hash):
            listener.set()

    def notify_all(self) -> None:
        for listener in self._listeners.values():
            listener.set()

    @contextmanager
    def listen(self, key_hash: str) -> Generator[asyncio.Event]:
        """Listen before asking the store: then no message between the question and the wait is lost."""
        listener = self._listeners[key_hash] = asyncio.Event()
        try:
            yield listener
        finally:
            del self._listeners[key_hash]
