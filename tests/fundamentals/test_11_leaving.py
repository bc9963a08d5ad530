"""11. A replica leaves: it drains. Calls under way finish, watches go elsewhere, the others serve on."""

import asyncio

import grpc
import pytest

from mintonce import Unavailable
from support.faulty_issuer import Fault
from support.fleet import Fleet
from support.house import AUDIENCE, CLIENT
from support.waiting import wait_until


async def test_a_watch_is_sent_elsewhere(fleet: Fleet) -> None:
    """UNAVAILABLE with the reason DRAINING: watch again, another replica answers."""
    leaving, staying = await fleet.replicas(2)
    async with leaving.client.watch(CLIENT, AUDIENCE, timeout=10.0) as watch:
        first = await anext(watch)
        leaving.house.broker.drain()
        with pytest.raises(Unavailable) as caught:
            await anext(watch)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    async with staying.client.watch(CLIENT, AUDIENCE, timeout=10.0) as watch:
        assert (await anext(watch)).generation == first.generation


async def test_a_call_under_way_gets_its_token(fleet: Fleet) -> None:
    """The mint was begun and is paid for."""
    fleet.issuer.fault = Fault(latency=0.5)
    replica = await fleet.replica()
    call = asyncio.create_task(replica.get())
    await wait_until(lambda: fleet.issuer.posts == 1)
    replica.house.broker.drain()
    await replica.house.server.stop(grace=5.0)
    assert (await call).is_live


async def test_what_it_minted_stays_for_the_others(fleet: Fleet) -> None:
    """Nothing is lost with it."""
    first = await (await fleet.replica()).get()
    await fleet.stop()
    assert (await (await fleet.replica()).get()).access_token == first.access_token
    assert fleet.issuer.posts == 1
