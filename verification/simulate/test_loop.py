"""The event loop of the simulator: virtual time, processes that stop and die."""

import asyncio
import random
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from simulate.loop import OUTSIDE, Lane, RunawayError, SimulatedLoop, StuckError


@contextmanager
def loop_of(seed: int = 1) -> Generator[SimulatedLoop]:
    loop = SimulatedLoop(random.Random(seed), 10_000)
    yield loop
    loop.close()


def test_time_goes_on_when_nothing_is_ready() -> None:
    """An hour takes no time."""
    with loop_of() as loop:
        loop.run(asyncio.sleep(3600.0))
        assert 3600.0 <= loop.now < 3601.0


def test_a_stopped_process_waits_and_goes_on() -> None:
    """Its timers and its answers come late, in their order."""
    lane, heard = Lane("node"), list[float]()

    async def ticks(loop: SimulatedLoop) -> None:
        for _ in range(3):
            await asyncio.sleep(1.0)
            heard.append(round(loop.now))

    async def main(loop: SimulatedLoop) -> None:
        task = loop.create_task(ticks(loop), context=lane.context())
        await asyncio.sleep(1.5)
        lane.stopped = True
        await asyncio.sleep(10.0)
        loop.resume(lane)
        await task

    with loop_of() as loop:
        loop.run(main(loop))
    assert heard == [1, 12, 13]


def test_a_killed_process_never_runs_again() -> None:
    """Not even its `finally`."""
    lane, heard = Lane("node"), list[str]()

    async def work() -> None:
        try:
            await asyncio.sleep(1.0)
        finally:
            heard.append("finally")

    async def main(loop: SimulatedLoop) -> None:
        task = loop.create_task(work(), context=lane.context())
        await asyncio.sleep(0.5)
        lane.dead = True
        await asyncio.sleep(10.0)
        assert heard == []
        loop.revive(lane)
        await task

    with loop_of() as loop:
        loop.run(main(loop))
    assert heard == ["finally"]


def test_processes_run_in_any_order_and_each_in_its_own() -> None:
    """Drawn from the seed: some seeds interleave otherwise, none reorders one process."""
    orders = set[str]()
    for seed in range(20):
        heard = list[str]()
        with loop_of(seed) as loop:
            for lane in (Lane(name) for name in "ab"):
                for number in range(3):
                    loop.call_soon(heard.append, f"{lane.name}{number}", context=lane.context())
            loop.run(asyncio.sleep(1.0))
        assert [word for word in heard if word[0] == "a"] == ["a0", "a1", "a2"]
        orders.add(" ".join(heard))
    assert len(orders) > 5


def test_who_waits_for_nothing_is_found_out() -> None:
    """A deadlock ends the run."""
    with loop_of() as loop, pytest.raises(StuckError):
        loop.run(asyncio.Event().wait())


def test_what_goes_round_and_round_is_found_out() -> None:
    """It would never end otherwise."""

    def again(loop: SimulatedLoop) -> None:
        loop.call_soon(again, loop, context=OUTSIDE)

    with loop_of() as loop:
        again(loop)
        with pytest.raises(RunawayError):
            loop.run(asyncio.sleep(1.0))
