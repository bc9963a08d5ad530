"""Runs background tasks and restarts them when they fail. No task's failure ends the process."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from mintonce_server.common.clock import Clock

FIRST: Final = 0.1
LONGEST: Final = 30.0
"""Seconds: the least and the greatest upper bound of the pause before a task is started again."""

WELL_AFTER: Final = 60.0
"""Seconds of running after which earlier failures no longer lengthen the pause."""

Report = Callable[[str, Exception], None]
"""Called with the task's name and what ended it."""


Start = Callable[[], Coroutine[Any, Any, None]]
"""Creates the task."""


class Stopped(Exception):
    """A task that should never end returned."""


class Supervisor:
    """Starts each task again after full-jitter back-off. Only cancellation ends one.

    Args:
        report: called at each failure. When it raises itself, the task is started again all the same.
        rng: spreads the pauses.
        sleep: pauses.
    """

    def __init__(
        self,
        clock: Clock,
        report: Report,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._report = report
        self._rng = rng
        self._sleep = sleep

    @asynccontextmanager
    async def running(self, endless: Mapping[str, Start]) -> AsyncGenerator[None]:
        """These tasks, by name, until the block is left."""
        tasks = [asyncio.create_task(self.keep(name, start), name=name) for name, start in endless.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def keep(self, name: str, start: Start) -> None:
        """Run the task that `start` makes, for ever."""
        failures = 0
        while True:
            began = self._clock.monotonic()
            error = await _ended(name, start)
            if self._clock.monotonic() - began >= WELL_AFTER:
                failures = 0
            self._tell(name, error)
            await self._sleep(self._rng.uniform(0.0, min(LONGEST, FIRST * 2.0 ** min(failures, 16))))
            failures += 1

    def _tell(self, name: str, error: Exception) -> None:
        try:
            self._report(name, error)
        except Exception:  # noqa: BLE001, S110 - a log that cannot be written must not end what it is about
            pass


async def _ended(name: str, start: Start) -> Exception:
    """What the task ended with. Raises CancelledError only when this task itself was cancelled."""
    try:
        await start()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Something that it waited for was cancelled: a failure like any other.
        return _caused(Stopped(f"{name} waited for something that was cancelled"), error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported and the task goes on
        return error
    return Stopped(f"{name} ended by itself")


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error
