"""6. A watch sends the token, and each successor as soon as it is there: clients then read memory and never poll."""

import asyncio

from support.fleet import Fleet
from support.house import AUDIENCE, CLIENT


async def test_a_watch_begins_with_the_live_token(fleet: Fleet) -> None:
    """Minted if there is none."""
    replica = await fleet.replica()
    async with replica.client.watch(CLIENT, AUDIENCE, timeout=10.0) as watch:
        assert (await anext(watch)).access_token == (await replica.get()).access_token
    assert fleet.issuer.posts == 1


async def test_a_successor_reaches_the_watches_of_every_replica(fleet: Fleet) -> None:
    """Whichever replica minted it."""
    one, other = await fleet.replicas(2)
    async with (
        one.client.watch(CLIENT, AUDIENCE, timeout=10.0) as here,
        other.client.watch(CLIENT, AUDIENCE, timeout=10.0) as there,
    ):
        first = await anext(here)
        assert (await anext(there)).generation == first.generation
        rotation = await one.client.rotate(CLIENT, AUDIENCE)
        seen = await asyncio.gather(anext(here), anext(there))
    assert {token.generation for token in seen} == {rotation.generation}
    assert fleet.issuer.posts == 2


async def test_a_watched_token_is_renewed_without_callers(fleet: Fleet) -> None:
    """A watch is as good as a caller that asks all the time, and its successor comes before the end."""
    fleet.issuer.lifetime = 1.5
    replica = await fleet.replica()
    async with replica.client.watch(CLIENT, AUDIENCE, timeout=20.0) as watch:
        tokens = [await anext(watch)]
        for _ in range(3):
            tokens.append(await anext(watch))
            assert tokens[-2].is_live
    assert fleet.issuer.posts == 4
