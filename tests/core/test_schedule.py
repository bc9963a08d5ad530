"""Knowing when each key is due."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from mintonce_server.core.key import TokenKey
from mintonce_server.core.schedule import CONCURRENT, Schedule
from support.clocks import ManualClock
from support.waiting import wait_until


def key(name: str) -> TokenKey:
    return TokenKey.of(name, "")


class Seen:
    """What the schedule handled, in order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.news = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0
        self.gate: asyncio.Event | None = None

    async def __call__(self, due: TokenKey) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.gate is not None:
            await self.gate.wait()
        self.at_once -= 1
        self.keys.append(due.client)
        self.news.set()

    async def wait_for(self, done: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(5.0):
            while not done(self.keys):
                self.news.clear()
                await self.news.wait()


def unexpected(_: TokenKey, error: Exception) -> None:
    """Where all keys are well, a fault fails the test."""
    raise error


@asynccontextmanager
async def running(
    schedule: Schedule,
    handle: Callable[[TokenKey], Awaitable[None]],
    on_error: Callable[[TokenKey, Exception], None] = unexpected,
) -> AsyncGenerator[None]:
    task = asyncio.create_task(schedule.run(handle, on_error))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def schedule_of(clock: ManualClock) -> Schedule:
    return Schedule(clock, random.Random(7))


async def test_a_fault_costs_its_own_key_a_pause_and_no_other_key_anything() -> None:
    """It is reported, the key is tried again, and the others have their turn."""
    seen, clock, faults = Seen(), ManualClock(), list[Exception]()

    async def refresh(which: TokenKey) -> None:
        await seen(which)
        if seen.keys.count("bad") == 1 and which == key("bad"):
            raise KeyError("unforeseen")

    schedule = schedule_of(clock)
    schedule.at(key("bad"), 900.0)
    schedule.at(key("good"), 901.0)
    async with running(schedule, refresh, lambda _, error: faults.append(error)):
        await seen.wait_for(lambda keys: keys == ["bad", "good"])
        await wait_until(lambda: key("bad") in schedule._due)
        assert clock.monotonic() < schedule._due[key("bad")] <= clock.monotonic() + 60.0
        clock.advance(60.0)
        schedule.at(key("other"), 900.0)
        await seen.wait_for(lambda keys: keys[2:] == ["other", "bad"] or keys[2:] == ["bad", "other"])
    assert [type(error) for error in faults] == [KeyError]


async def test_what_is_due_is_seen_to_in_the_order_of_its_time() -> None:
    """Whatever order it was scheduled in."""
    seen, clock = Seen(), ManualClock()
    schedule = schedule_of(clock)
    for name, at in (("c", 900.0), ("a", 700.0), ("b", 800.0)):
        schedule.at(key(name), at)
    async with running(schedule, seen):
        await seen.wait_for(lambda keys: len(keys) == 3)
    assert seen.keys == ["a", "b", "c"]


async def test_a_key_that_is_scheduled_again_keeps_only_its_last_time() -> None:
    """A new token moves its key; the place it had is no longer its."""
    seen, clock = Seen(), ManualClock()
    schedule = schedule_of(clock)
    schedule.at(key("moved"), 900.0)
    schedule.at(key("moved"), 5000.0)
    schedule.at(key("due"), 950.0)
    async with running(schedule, seen):
        await seen.wait_for(lambda keys: "due" in keys)
    assert seen.keys == ["due"]


async def test_an_earlier_time_wakes_the_sleeper() -> None:
    """It sleeps until the next due key, whenever that was said."""
    seen, clock = Seen(), ManualClock()
    schedule = schedule_of(clock)
    schedule.at(key("far"), 1_000_000.0)
    async with running(schedule, seen):
        await asyncio.sleep(0)
        schedule.at(key("now"), 999.0)
        await seen.wait_for(lambda keys: keys == ["now"])


async def test_many_due_keys_become_no_burst_on_the_issuer() -> None:
    """At most CONCURRENT are under way, and all get their turn."""
    seen, clock = Seen(), ManualClock()
    seen.gate = asyncio.Event()
    schedule = schedule_of(clock)
    for n in range(3 * CONCURRENT):
        schedule.at(key(f"k{n}"), 900.0)
    async with running(schedule, seen):
        for _ in range(50):
            await asyncio.sleep(0)
        assert seen.most_at_once == CONCURRENT
        seen.gate.set()
        await seen.wait_for(lambda keys: len(keys) == 3 * CONCURRENT)
    assert seen.most_at_once == CONCURRENT


class Counted(float):
    """A time that counts how often it is compared."""

    comparisons: ClassVar[int] = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return float(self) == other

    def __lt__(self, other: float) -> bool:
        Counted.comparisons += 1
        return float(self) < float(other)

    __hash__ = float.__hash__


KEYS = 100_000
DEPTH = math.ceil(math.log2(KEYS))


@pytest.fixture
def full() -> Schedule:
    """It has a hundred thousand keys, due at any time from 2000 on."""
    chance = random.Random(7)
    schedule = schedule_of(ManualClock())
    for n in range(KEYS):
        schedule.at(key(f"k{n}"), Counted(chance.uniform(2000.0, 88_400.0)))
    Counted.comparisons = 0
    return schedule


def test_a_key_s_place_is_found_in_logarithmic_time(full: Schedule) -> None:
    """A tuple is compared in three steps, and with one other on each level of the heap, however many keys there are."""
    for n in range(1000):
        full.at(key(f"k{n}"), Counted(1500.0 - n))  # before all others: the longest way
    assert Counted.comparisons <= 1000 * 3 * (DEPTH + 1)


def test_a_due_key_is_taken_in_logarithmic_time(full: Schedule) -> None:
    """Those that are not due are not looked at."""
    times = {key: float(at) for at, _, key in full._heap}
    due = full._take_due(2864.0)  # one in a hundred
    assert 800 < len(due) < 1200
    assert due == sorted((key for key, at in times.items() if at <= 2864.0), key=times.__getitem__)
    assert Counted.comparisons <= len(due) * 5 * (DEPTH + 1)


async def test_a_hundred_thousand_keys_that_are_not_due_cost_nothing(full: Schedule) -> None:
    """One sleeping task, which looks at the first of them only."""
    async with running(full, Seen()):
        for _ in range(100):
            await asyncio.sleep(0)
    assert Counted.comparisons == 0


async def test_a_key_that_is_scheduled_again_and_again_is_seen_to_once() -> None:
    """The places it left behind are passed over."""
    seen, clock = Seen(), ManualClock()
    schedule = schedule_of(clock)
    for at in (900.0, 950.0, 900.0, 980.0, 980.0):
        schedule.at(key("restless"), at)
    schedule.at(key("last"), 990.0)
    async with running(schedule, seen):
        await seen.wait_for(lambda keys: "last" in keys)
    assert seen.keys == ["restless", "last"]
