"""Where the two halves of the client differ, for asyncio. `_blocking.py` has the same names for threads."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import grpc
import grpc.aio

from mintonce import _channel, _gevent
from mintonce.errors import MintonceError, closed

Channel = grpc.aio.Channel
Event = asyncio.Event

CHANNEL_CLOSED: Final = (grpc.aio.UsageError, asyncio.CancelledError)
"""What gRPC raises for calls on a channel that another task has just closed."""


def open_channel(target: str, credentials: grpc.ChannelCredentials | None, options: _channel.Options) -> Channel:
    _gevent.refuse()
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


def is_being_cancelled() -> bool:
    """Whether this task is cancelled, and not only the call that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def pause(wake: Event, seconds: float) -> None:
    """Until the event is set, at most so long."""
    with suppress(TimeoutError):  # the usual end of a pause
        async with asyncio.timeout(seconds):
            await wake.wait()


class Changes:
    """A condition variable without a lock: one event loop needs none."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    async def wait_for(self, done: Callable[[], object], seconds: float) -> None:
        """Until `done()` is true, at most so long. The caller looks at what there is then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done():
                    await self._next.wait()

    def notify_all(self) -> None:
        """Have all who wait look again."""
        passed, self._next = self._next, asyncio.Event()
        passed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """There is no lock to release."""


class Forks:
    """Nothing: an event loop does not go on in a forked process."""


class Home:
    """The event loop that something was made in. gRPC's channels, and tasks, cannot leave theirs."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self) -> None:
        """Before a call: raises MintonceError in another loop than that of the first call."""
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise other_loop(self._what)

    def must_be_open(self) -> None:
        """From any thread: raises MintonceError when the loop is closed."""
        if self._loop is not None and self._loop.is_closed():
            raise other_loop(self._what)

    @property
    def is_gone(self) -> bool:
        """Whether the loop is closed, so that nothing in it can be awaited any more."""
        return self._loop is not None and self._loop.is_closed()


def other_loop(what: str) -> MintonceError:
    """The error for a use in another event loop."""
    return MintonceError(
        f"the {what} belongs to another event loop, or its loop is closed",
        reason="EVENT_LOOP",
        remedy=f"Make the {what} in the coroutine that uses it: each asyncio.run, and each loop of a test, needs its "
        "own. TokenSource and TokenClient belong to no loop.",
    )


class Worker:
    """The task of a source."""

    def __init__(self, run: Callable[[], Coroutine[None, None, None]], name: str, close: object) -> None:
        """`close`: for the other half, which registers it to be called at the exit of the interpreter."""
        self._task = asyncio.create_task(run(), name=name)

    @property
    def is_foreign(self) -> bool:
        """Never: an event loop does not go on in a forked process."""
        return False

    def must_run(self) -> None:
        """Raises Closed when the task has ended."""
        if self._task.done():
            raise closed("source")

    async def stop(self, release: Callable[[], Awaitable[None]], seconds: float) -> None:
        """End the task, then release what it used. `seconds`: for the other half, where a call may go on."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await release()
