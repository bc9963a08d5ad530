"""Each await of each port raises arbitrary exceptions, once and for a while: the replica lives and recovers."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

import pytest
from faults import virtual_time
from faults.house import KEYS, House
from faults.ports import ERRORS, Point, When, points, protocols

from mintonce_server.core import ports
from mintonce_server.core.errors import IssuerError
from mintonce_server.core.ports import Backoff
from support.samples import acquire_request

POINTS: Final = [point for protocol in protocols(ports) for point in points(protocol)]
BY_APP: Final = frozenset({"TokenStore.ping", "TokenStore.close"})
"""Not called by core."""

WARM: Final = 8.0
HIT_WITHIN: Final = 120.0
FOR_A_WHILE: Final = 6.0
LEASE: Final = 3.1
RECOVERED_WITHIN: Final = 40.0
"""Virtual seconds. The last one is an issuer's back-off after some failures in a row."""


def test_every_port_is_covered() -> None:
    """A new Protocol with something to await needs a place in the house."""
    assert {point.port for point in POINTS} == {"TokenStore", "Issuer", "UsageStore"}
    assert len(POINTS) >= 17


@pytest.mark.parametrize("point", [point for point in POINTS if str(point) not in BY_APP], ids=str)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_port_that_raises_ends_nothing(point: Point, when: When) -> None:
    """Once, then for a while, each time something else; meanwhile and afterwards callers are well served."""
    rng = random.Random(f"{point} {when}")
    errors = rng.sample(ERRORS, 3)
    house = virtual_time.run(_ordeal(rng.getrandbits(32), point, when, errors))
    assert house.wrong == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error()).__name__)
def test_a_mint_that_raises_frees_its_lease_at_once(error: Callable[[], Exception]) -> None:
    """Its caller gets a typed error, and other replicas learn of the failure instead of waiting for the lease."""

    async def scene() -> object:
        house = House(0)
        with house.faults.at(Point("Issuer", "mint"), "before", error, 1), pytest.raises(IssuerError):
            await house.brokers[0].get(KEYS[0], 0.0, 5.0)
        return await house.store.acquire(KEYS[0], acquire_request())

    assert isinstance(virtual_time.run(scene()), Backoff)


async def _ordeal(seed: int, point: Point, when: When, errors: list[Callable[[], Exception]]) -> House:
    house = House(seed)
    async with house.callers():
        await asyncio.sleep(WARM)
        for error, times in zip(errors, (1, 1, float("inf")), strict=True):
            with house.faults.at(point, when, error, times):
                await _meet(house, point)
            await house.recovered(RECOVERED_WITHIN)
    if left := [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]:
        house.wrong.append(f"tasks left: {left}")
    await asyncio.sleep(LEASE)  # what was taken in the fault's last moment lapses; what is renewed stays
    if miscounts := house.miscounts():
        house.wrong.append(miscounts)
    if leases := await house.leases_left():
        house.wrong.append(f"leases left: {leases}")
    return house


async def _meet(house: House, point: Point) -> None:
    """Until the fault was met, and then a while longer."""
    before, ends = house.faults.hits, house.clock.monotonic() + HIT_WITHIN
    house.issuer.fails = point.method == "fail"
    while house.faults.hits == before:
        if house.clock.monotonic() > ends:
            house.wrong.append(f"{point} was not called")
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(FOR_A_WHILE)
    house.issuer.fails = False
