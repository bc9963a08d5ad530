"""12. The store loses its data: replicas give the tokens that they hold back to it, and no replica mints."""

import asyncio
from dataclasses import replace

from mintonce import Origin
from mintonce_server.core import events
from support.fleet import Fleet, Replica
from support.options import BROKER_OPTIONS
from support.servers import looking_into
from support.waiting import wait_until

QUICK = replace(BROKER_OPTIONS, revalidate_within=0.4)


def has_given_back(replica: Replica) -> bool:
    return bool(replica.house.events(events.Restored))


async def test_after_a_restart_without_data_every_token_is_there_again(fleet: Fleet, redis_url: str) -> None:
    """Connections break, so replicas know: what they hold goes back at once, and newcomers find it."""
    one, other = await fleet.replicas(2)
    first = await one.get()
    await other.get()
    async with looking_into(redis_url) as command:
        await command("FLUSHALL")
        await command("CLIENT", "KILL", "TYPE", "pubsub")
        await wait_until(lambda: has_given_back(one) or has_given_back(other))
    newcomer = await (await fleet.replica()).get()
    assert (newcomer.access_token, newcomer.generation) == (first.access_token, first.generation)
    assert newcomer.origin is Origin.STORE
    assert fleet.issuer.posts == 1


async def test_data_that_vanishes_without_a_sign_comes_back_as_well(fleet: Fleet, redis_url: str) -> None:
    """A replica compares what it serves with the store all the time."""
    replica = await fleet.replica(QUICK)
    first = await replica.get()
    async with looking_into(redis_url) as command:
        await command("FLUSHALL")
    await replica.get()
    await wait_until(lambda: has_given_back(replica))
    assert (await (await fleet.replica()).get()).access_token == first.access_token
    assert fleet.issuer.posts == 1


async def test_many_replicas_give_it_back_and_there_is_one(fleet: Fleet, redis_url: str) -> None:
    """The same generation, whichever replica is first: callers notice nothing."""
    replicas = await fleet.replicas(3)
    first = await replicas[0].get()
    await asyncio.gather(*(replica.get() for replica in replicas))
    async with looking_into(redis_url) as command:
        await command("FLUSHALL")
        await command("CLIENT", "KILL", "TYPE", "pubsub")
    await wait_until(lambda: any(has_given_back(replica) for replica in replicas))
    tokens = [await replica.get() for replica in replicas]
    assert {(token.access_token, token.generation) for token in tokens} == {(first.access_token, first.generation)}
    assert not any(token.degraded for token in tokens)
    assert fleet.issuer.posts == 1


async def test_what_was_rejected_is_not_given_back(fleet: Fleet, redis_url: str) -> None:
    """The store forgot the rejection with all else; the replicas that heard of it did not."""
    replicas = await fleet.replicas(2)
    first = await replicas[0].get()
    await replicas[1].get()
    await replicas[0].reject(first)
    await wait_until(lambda: not any(replica.holds(first) for replica in replicas))
    async with looking_into(redis_url) as command:
        await command("FLUSHALL")
    assert {(await replica.get()).generation > first.generation for replica in replicas} == {True}
    assert fleet.issuer.posts == 2
