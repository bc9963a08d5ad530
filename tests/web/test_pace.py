"""Busy connections leave turns of the event loop to all else."""

import asyncio

from mintonce_server.web.pace import Pace


async def turns_of(pace: Pace, count: int) -> list[int]:
    """At which turn of the loop each of so many got through."""
    turn, got = 0, list[int]()

    async def one() -> None:
        await pace.step()
        got.append(turn)

    tasks = [asyncio.create_task(one()) for _ in range(count)]
    while not all(task.done() for task in tasks):
        turn += 1
        await asyncio.sleep(0)
    return got


async def test_at_most_so_many_get_through_at_one_turn() -> None:
    """And each of the following turns takes as many, until all are through."""
    got = await turns_of(Pace(4), 20)
    assert max(got.count(turn) for turn in got) <= 2 * 4  # two of its turns may fall into one of the test's
    assert len(got) == 20
    assert max(got) - min(got) >= 2


async def test_a_few_never_wait() -> None:
    """They go through at the turn at which they come."""
    pace = Pace(4)
    for _ in range(5):
        assert len(set(await turns_of(pace, 3))) == 1


async def test_one_that_leaves_takes_no_turn() -> None:
    """The others still get through."""
    pace = Pace(1)
    tasks = [asyncio.create_task(pace.step()) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[5:8]:
        task.cancel()
    done, _ = await asyncio.wait(tasks, timeout=5.0)
    assert len(done) == 10
    assert [task.cancelled() for task in tasks] == [False] * 5 + [True] * 3 + [False] * 2
