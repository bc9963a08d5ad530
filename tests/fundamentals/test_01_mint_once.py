"""1. The idea: a token is minted once and shared until it expires."""

import asyncio

from mintonce import Origin
from support.fleet import Fleet


async def test_the_first_to_ask_has_it_minted_and_the_next_gets_the_same(fleet: Fleet) -> None:
    """One POST to the issuer, for any number of callers and calls."""
    replica = await fleet.replica()
    first, second = await replica.get(), await replica.get()
    assert (first.origin, second.origin) == (Origin.MINT, Origin.MEMORY)
    assert first.access_token == second.access_token
    assert fleet.issuer.posts == 1


async def test_a_crowd_that_asks_at_once_waits_for_one_mint(fleet: Fleet) -> None:
    """Two hundred callers, one POST."""
    replica = await fleet.replica()
    tokens = await asyncio.gather(*(replica.get() for _ in range(200)))
    assert len({token.access_token for token in tokens}) == 1
    assert fleet.issuer.posts == 1


async def test_the_answer_says_what_is_left_and_when_a_successor_is_due(fleet: Fleet) -> None:
    """The successor comes in the last tenth of the life."""
    token = await (await fleet.replica()).get()
    assert 3590.0 < token.expires_in() <= 3600.0
    assert 0.0 < token.expires_at - token.refresh_at <= 360.0


async def test_a_replica_that_is_restarted_mints_nothing(fleet: Fleet) -> None:
    """Tokens live in the store; a deployment costs none."""
    before = await (await fleet.replica()).get()
    await fleet.stop()
    after = await (await fleet.replica()).get()
    assert after.origin is Origin.STORE
    assert after.access_token == before.access_token
    assert fleet.issuer.posts == 1
