"""5. A caller with a long job may ask for more life than is left: min_ttl."""

from support.faulty_issuer import Fault
from support.fleet import Fleet
from support.waiting import wait_until


async def test_a_token_with_enough_left_is_good_enough(fleet: Fleet) -> None:
    """A wish that the shared token fulfils costs nothing."""
    replica = await fleet.replica()
    await replica.get()
    await replica.get(min_ttl=1700.0)
    assert fleet.issuer.posts == 1


async def test_a_wish_for_more_than_half_a_life_is_read_as_half(fleet: Fleet) -> None:
    """Otherwise every such call would mint."""
    replica = await fleet.replica()
    for _ in range(5):
        await replica.get(min_ttl=1_000_000.0)
    assert fleet.issuer.posts == 1


async def test_who_needs_more_than_is_left_gets_a_successor_that_all_share(fleet: Fleet) -> None:
    """The old token is not minted for one caller alone."""
    fleet.issuer.lifetime = 4.0
    one, other = await fleet.replicas(2)
    first = await one.get()
    await wait_until(lambda: first.expires_in() < 1.4)  # the client counts from before its call
    longer = await one.get(min_ttl=2.0)
    assert longer.generation > first.generation
    assert (await other.get(min_ttl=2.0)).access_token == longer.access_token
    assert fleet.issuer.posts == 2


async def test_if_nothing_better_can_be_had_the_best_live_token_comes_back_marked(fleet: Fleet) -> None:
    """`degraded` says so; an error would not help."""
    fleet.issuer.lifetime = 4.0
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = Fault(status=503)
    await wait_until(lambda: first.expires_in() < 1.4)  # the client counts from before its call
    best = await replica.get(min_ttl=2.0)
    assert (best.access_token, best.degraded) == (first.access_token, True)
    assert not (await replica.get()).degraded
