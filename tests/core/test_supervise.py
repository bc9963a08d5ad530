"""Endless tasks are started again, whatever ends them."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from mintonce_server.core.supervise import FIRST, LONGEST, WELL_AFTER, Stopped, Supervisor
from support.clocks import ManualClock
from support.waiting import wait_until


class Highest(random.Random):
    """Always draws the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Watched:
    """A supervisor whose reports and pauses are recorded. Its pauses take no time."""

    def __init__(self, rng: random.Random) -> None:
        self.clock = ManualClock()
        self.reports: list[tuple[str, Exception]] = []
        self.pauses: list[float] = []
        self.supervisor = Supervisor(
            self.clock, lambda name, error: self.reports.append((name, error)), rng, self._pause
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def running(task: "asyncio.Task[None]") -> AsyncGenerator["asyncio.Task[None]"]:
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("x"), KeyError("x"), RecursionError(), OSError(), ExceptionGroup("x", [ValueError()])],
    ids=lambda error: type(error).__name__,
)
async def test_any_exception_is_reported_and_the_task_goes_on(error: Exception) -> None:
    """Not only those of this project."""
    watched, went_on = Watched(random.Random(0)), asyncio.Event()
    errors = [error]

    async def task() -> None:
        if errors:
            raise errors.pop()
        went_on.set()
        await asyncio.Event().wait()

    async with running(asyncio.create_task(watched.supervisor.keep("a task", task))), asyncio.timeout(5.0):
        await went_on.wait()
    assert watched.reports == [("a task", error)]


async def test_an_endless_task_that_returns_is_a_failure() -> None:
    """It is started again, too."""
    watched = Watched(random.Random(0))

    async def task() -> None:
        await asyncio.sleep(0)

    async with running(asyncio.create_task(watched.supervisor.keep("a task", task))):
        await wait_until(lambda: len(watched.reports) >= 2)
    assert all(isinstance(error, Stopped) for _, error in watched.reports)


async def test_a_cancelled_inner_task_is_a_failure() -> None:
    """The supervised task itself was not cancelled, so it goes on."""
    watched = Watched(random.Random(0))

    async def task() -> None:
        inner = asyncio.create_task(asyncio.Event().wait())
        inner.cancel()
        await inner

    async with running(asyncio.create_task(watched.supervisor.keep("a task", task))) as supervised:
        await wait_until(lambda: len(watched.reports) >= 2)
        assert not supervised.done()
    assert isinstance(watched.reports[0][1].__cause__, asyncio.CancelledError)


async def test_tasks_run_for_as_long_as_their_block() -> None:
    """One that fails does not disturb another, nor the block."""
    watched, failed = Watched(random.Random(0)), asyncio.Event()

    async def fails() -> None:
        failed.set()
        raise RuntimeError

    async def waits() -> None:
        await asyncio.Event().wait()

    async with watched.supervisor.running({"one": fails, "another": waits}), asyncio.timeout(5.0):
        await failed.wait()
        await wait_until(lambda: watched.reports)
        assert {task.get_name() for task in asyncio.all_tasks()} >= {"one", "another"}
    assert not {task.get_name() for task in asyncio.all_tasks()} & {"one", "another"}


async def test_cancellation_ends_it() -> None:
    """While the task runs, and while it is paused."""
    watched, started = Watched(random.Random(0)), asyncio.Event()

    async def task() -> None:
        started.set()
        await asyncio.Event().wait()

    supervised = asyncio.create_task(watched.supervisor.keep("a task", task))
    await started.wait()
    supervised.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervised
    assert watched.reports == []

    paused = Supervisor(watched.clock, lambda _, __: started.set(), Highest(), lambda _: asyncio.sleep(3600.0))
    started.clear()
    supervised = asyncio.create_task(paused.keep("a task", lambda: asyncio.sleep(0)))
    await started.wait()
    supervised.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervised


async def test_pauses_grow_to_a_bound_and_shrink_after_a_good_while() -> None:
    """Full jitter: the bound doubles with each failure in a row."""
    watched = Watched(Highest())

    async def task() -> None:
        if len(watched.pauses) == 12:
            watched.clock.advance(WELL_AFTER)
        if len(watched.pauses) == 13:
            await asyncio.Event().wait()
        raise RuntimeError

    async with running(asyncio.create_task(watched.supervisor.keep("a task", task))):
        await wait_until(lambda: len(watched.pauses) == 13)
    assert watched.pauses == [*(min(LONGEST, FIRST * 2**n) for n in range(12)), FIRST]


async def test_the_same_seed_gives_the_same_pauses() -> None:
    """So a simulation can be repeated."""

    async def pauses(seed: int) -> list[float]:
        watched = Watched(random.Random(seed))
        async with running(asyncio.create_task(watched.supervisor.keep("a task", lambda: asyncio.sleep(0)))):
            await wait_until(lambda: len(watched.pauses) >= 5)
        return watched.pauses[:5]

    assert await pauses(1) == await pauses(1) != await pauses(2)


async def test_a_report_that_fails_ends_nothing() -> None:
    """Such as a log on a full disk."""
    told = 0

    def report(_: str, __: Exception) -> None:
        nonlocal told
        told += 1
        raise OSError("disk full")

    supervisor = Supervisor(ManualClock(), report, random.Random(0), lambda _: asyncio.sleep(0))
    async with running(asyncio.create_task(supervisor.keep("a task", lambda: asyncio.sleep(0)))):
        await wait_until(lambda: told >= 2)
