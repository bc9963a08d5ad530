"""9. The store is out of reach: memory serves to the end, and a replica that has nothing mints alone, or refuses."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from mintonce import MintonceError, Origin, Unavailable
from support.faulty_issuer import Fault
from support.fleet import Fleet
from support.options import BROKER_OPTIONS

Outage = Callable[[], AbstractContextManager[None]]
OTHER = "https://never-asked-for.example.com/"


async def test_what_is_in_memory_is_served_as_if_nothing_were_wrong(fleet: Fleet, store_outage: Outage) -> None:
    """No I/O is on that path."""
    replica = await fleet.replica()
    first = await replica.get()
    with store_outage():
        again = await replica.get()
    assert (again.access_token, again.degraded) == (first.access_token, False)
    assert fleet.issuer.posts == 1


async def test_a_cold_key_is_minted_alone_once_a_replica(fleet: Fleet, store_outage: Outage) -> None:
    """The default: better a mint too many than a service that stands still. Marked, and kept in memory."""
    one, other = await fleet.replicas(2)
    with store_outage():
        answers = await asyncio.gather(*((one, other)[n % 2].get(OTHER) for n in range(40)))
        assert (await one.get(OTHER)).origin is Origin.MEMORY
    assert all(token.degraded for token in answers)
    assert fleet.issuer.posts == 2


async def test_a_cold_key_is_refused_where_that_is_wished(fleet: Fleet, store_outage: Outage) -> None:
    """store_outage = "refuse": never more than one mint a lifetime, at the price of an error with RetryInfo."""
    replica = await fleet.replica(replace(BROKER_OPTIONS, mint_in_outage=False))
    with store_outage(), pytest.raises(Unavailable) as caught:
        await replica.get(OTHER)
    assert caught.value.reason == "STORE_UNAVAILABLE"
    assert caught.value.retry_after
    assert fleet.issuer.posts == 0


async def test_with_the_issuer_down_as_well_memory_still_serves(fleet: Fleet, store_outage: Outage) -> None:
    """And a cold key costs one POST while its back-off lasts, not one a call."""
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = Fault(status=401)
    with store_outage():
        assert (await replica.get()).access_token == first.access_token
        for _ in range(3):
            with pytest.raises(MintonceError):
                await replica.get(OTHER)
    assert fleet.issuer.posts == 2


async def test_when_the_store_is_back_all_is_as_before(fleet: Fleet, store_outage: Outage) -> None:
    """The tokens in it survived: the same text, no new mint."""
    one, other = await fleet.replicas(2)
    first = await one.get()
    with store_outage():
        assert (await one.get()).access_token == first.access_token
    assert (await other.get()).access_token == first.access_token
    assert fleet.issuer.posts == 1
