"""One flight a key."""

import asyncio

import pytest

from mintonce_server.core.key import TokenKey
from mintonce_server.core.single_flight import SingleFlight

KEY = TokenKey.of("demo", "https://api.example.com/")


class Runway:
    """Counts the flights, and lets them land when told."""

    def __init__(self) -> None:
        self.started = 0
        self.clear = asyncio.Event()

    async def fly(self) -> int:
        self.started += 1
        await self.clear.wait()
        return self.started


async def test_many_callers_share_one_flight() -> None:
    """A hundred callers, one start; only the first one started it."""
    flights, runway = SingleFlight[int](), Runway()
    callers = [asyncio.create_task(flights.run(KEY, runway.fly)) for _ in range(100)]
    await asyncio.sleep(0)
    runway.clear.set()
    answers = await asyncio.gather(*callers)
    assert answers == [(1, True)] + [(1, False)] * 99


async def test_a_caller_that_hangs_up_does_not_end_the_flight() -> None:
    """Not even when it is the one that started it."""
    flights, runway = SingleFlight[int](), Runway()
    first = asyncio.create_task(flights.run(KEY, runway.fly))
    second = asyncio.create_task(flights.run(KEY, runway.fly))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    runway.clear.set()
    assert await second == (1, False)


async def test_the_next_caller_after_a_landing_starts_another() -> None:
    """Even in the very step in which the flight landed: a result is never handed out twice."""
    flights, runway = SingleFlight[int](), Runway()
    runway.clear.set()
    assert await flights.run(KEY, runway.fly) == (1, True)
    assert await flights.run(KEY, runway.fly) == (2, True)


async def test_a_failure_reaches_every_caller() -> None:
    """And is forgotten then."""

    async def crash() -> int:
        raise ValueError("no")

    flights = SingleFlight[int]()
    answers = await asyncio.gather(*(flights.run(KEY, crash) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError] * 3
    assert KEY not in flights


async def test_closing_lets_flights_land_and_then_cancels() -> None:
    """A mint that was paid for is not thrown away for the sake of a quick end."""
    flights, runway = SingleFlight[int](), Runway()
    caller = asyncio.create_task(flights.run(KEY, runway.fly))
    await asyncio.sleep(0)
    closing = asyncio.create_task(flights.close(grace=5.0))
    await asyncio.sleep(0)
    runway.clear.set()
    await closing
    assert await caller == (1, True)

    stuck = asyncio.create_task(flights.run(KEY, asyncio.Event().wait))  # never lands
    await asyncio.sleep(0)
    await flights.close(grace=0.0)
    with pytest.raises(asyncio.CancelledError):
        await stuck
