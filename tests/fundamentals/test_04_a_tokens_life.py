"""4. A token is used until it expires; shortly before, one replica mints its successor, and no caller waits."""

import asyncio

from mintonce import Token
from support.fleet import Fleet, Replica


async def served_until(replica: Replica, end: float) -> list[Token]:
    """Every token that a caller got who asked all the time until then (monotonic)."""
    got: list[Token] = []
    while asyncio.get_running_loop().time() < end:
        got.append(await replica.get())
        await asyncio.sleep(0.01)
    return got


async def test_a_token_is_served_until_its_successor_is_there_and_no_caller_waits(fleet: Fleet) -> None:
    """Two POSTs in one and a half lives; every answer was live, and the first token was used for nine tenths of its."""
    fleet.issuer.lifetime = 2.0
    replica = await fleet.replica()
    first = await replica.get()
    got = await served_until(replica, first.expires_at + 0.5)
    assert all(token.is_live or token.generation == first.generation for token in got)
    assert {token.generation for token in got[-10:]} == {got[-1].generation}
    successor = next(token for token in got if token.generation > first.generation)
    assert successor.expires_at - first.expires_at > 0.0
    assert successor.expires_at - 2.0 >= first.expires_at - 0.25  # minted in the last tenth
    assert not any(token.degraded for token in got)
    assert fleet.issuer.posts == 2


async def test_one_replica_mints_the_successor_for_all(fleet: Fleet) -> None:
    """All find the key due at the same time; the lease lets one of them."""
    fleet.issuer.lifetime = 4.0
    replicas = await fleet.replicas(3)
    first = await replicas[0].get()
    await asyncio.gather(*(served_until(replica, first.expires_at) for replica in replicas))
    successors = {(await replica.get()).generation for replica in replicas}
    assert len(successors) == 1
    assert first.generation not in successors
    assert fleet.issuer.posts == 2


async def test_generations_only_rise(fleet: Fleet) -> None:
    """Across replicas too: a caller can tell which of two tokens is newer."""
    fleet.issuer.lifetime = 1.5
    one, other = await fleet.replicas(2)
    first = await one.get()
    end = first.expires_at + 1.5
    for history in await asyncio.gather(served_until(one, end), served_until(other, end)):
        generations = [token.generation for token in history]
        assert generations == sorted(generations)
        assert len(set(generations)) >= 2
