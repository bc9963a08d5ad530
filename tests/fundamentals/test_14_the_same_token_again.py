"""14. Some OAuth domains hand out one token until it ends, rejected or not. It is served, marked degraded."""

import asyncio

import pytest

from mintonce import MintonceError
from support.faulty_issuer import NONE, Fault
from support.fleet import Fleet
from support.house import AUDIENCE, CLIENT

REPEATED = Fault(repeat=True)


async def test_a_rejected_token_that_comes_again_is_served_degraded(fleet: Fleet) -> None:
    """The OAuth domain stands by its token. One caller's word does not take the key from all others."""
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = REPEATED
    await replica.reject(first)
    again = await replica.get()
    assert (again.access_token, again.degraded) == (first.access_token, True)
    assert again.generation > first.generation


async def test_however_many_ask_at_every_replica_it_costs_one_post(fleet: Fleet) -> None:
    """Those replicas mark it too that had never seen the token."""
    replicas = await fleet.replicas(3)
    first = await replicas[0].get()
    fleet.issuer.fault = REPEATED
    await replicas[0].reject(first)
    answers = await asyncio.gather(*(replicas[n % 3].get() for n in range(60)))
    assert {(token.access_token, token.degraded) for token in answers} == {(first.access_token, True)}
    assert fleet.issuer.posts == 2


async def test_rejecting_it_again_at_once_is_refused(fleet: Fleet) -> None:
    """The POSTs that rejections cause are bounded: one in each `min_rotation_interval`."""
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = REPEATED
    await replica.reject(first)
    again = await replica.get()
    with pytest.raises(MintonceError) as caught:
        await replica.reject(again)
    assert caught.value.reason == "ROTATION_TOO_SOON"
    assert (await replica.get()).generation == again.generation
    assert fleet.issuer.posts == 2


async def test_when_the_issuer_gives_another_all_is_well(fleet: Fleet) -> None:
    """By a rotation, say: the mark goes with the token."""
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = REPEATED
    await replica.reject(first)
    await replica.get()
    fleet.issuer.fault = NONE
    await replica.client.rotate(CLIENT, AUDIENCE)
    fresh = await replica.get()
    assert fresh.access_token != first.access_token
    assert not fresh.degraded
