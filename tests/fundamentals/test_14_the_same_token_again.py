"""14. Some OAuth domains hand out one token again and again. After a reject that mends nothing, and is no loop."""

import asyncio

import pytest

from mintonce import MintonceError
from mintonce_server.dev.faults import NONE, Fault
from support.eventually import eventually
from support.fleet import Fleet, Replica

REPEATED = Fault(repeat=True)


async def tried(replica: Replica) -> str:
    """The token, or why there is none."""
    try:
        return (await replica.get()).access_token
    except MintonceError as error:
        return error.reason


async def test_it_is_a_failure_that_says_what_to_do(fleet: Fleet) -> None:
    """Nobody is given the token that a resource server refused."""
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = REPEATED
    await replica.reject(first)
    with pytest.raises(MintonceError, match="very token that was rejected") as caught:
        await replica.get()
    assert (caught.value.reason, caught.value.retry_after is not None) == ("ISSUER_MALFORMED", True)
    assert first.access_token not in str(caught.value)


async def test_however_many_ask_at_every_replica_it_costs_one_post_in_a_back_off(fleet: Fleet) -> None:
    """Also those replicas notice that had never seen the token."""
    replicas = await fleet.replicas(3)
    first = await replicas[0].get()
    fleet.issuer.fault = REPEATED
    await replicas[0].reject(first)
    answers = await asyncio.gather(*(tried(replicas[n % 3]) for n in range(60)))
    assert set(answers) == {"ISSUER_MALFORMED"}
    assert fleet.issuer.posts == 2


async def test_when_the_issuer_gives_another_all_is_well(fleet: Fleet) -> None:
    """At the end of the back-off, by itself."""
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = REPEATED
    await replica.reject(first)
    assert await tried(replica) == "ISSUER_MALFORMED"
    fleet.issuer.fault = NONE
    answer = await eventually(lambda: tried(replica), lambda answer: answer != "ISSUER_MALFORMED")
    assert answer != first.access_token
    assert fleet.issuer.posts == 3
