"""What the upkeep makes of a store that forgot: it acts on what it hears, and does not go round in circles."""

from mintonce_server.core.token import Token
from support.samples import KEY, acquire_request
from support.waiting import wait_until
from support.workbench import Workbench, a_moment


async def held(bench: Workbench) -> Token:
    return (await bench.get()).token


async def asked_in_peace(bench: Workbench) -> int:
    """How often the store was asked about generations, once there is nothing more to do."""
    async with bench.upkeep():
        await wait_until(lambda: bench.store.asked)
        for _ in range(20):
            await a_moment()
    return len(bench.store.asked)


async def test_who_hears_that_a_rejected_token_was_given_back_rejects_it_again() -> None:
    """At once, even if no caller asks this replica: newcomers would take it from the store meanwhile."""
    bench = Workbench()
    asleep = bench.replica()
    token = await held(bench)
    await asleep.get()
    async with bench.upkeep():
        await a_moment()
        await bench.broker.reject(KEY, token.generation)
        await a_moment()
        bench.store.lose(KEY)
        await asleep.catch_up()
        assert asleep.broker.peek(KEY)  # it is there again
        await wait_until(lambda: bench.store.copy(KEY).record is None)
    assert (await held(bench.replica())).generation > token.generation


async def test_a_token_of_replaced_credentials_is_not_offered_without_end() -> None:
    """The store does not want it, and says so once in each round."""
    bench = Workbench()
    await held(bench)
    bench.store.lose(KEY)
    await bench.store.acquire(KEY, acquire_request("newer", cv=2))
    assert await asked_in_peace(bench) <= 2


async def test_the_last_second_of_a_lost_token_is_spent_in_peace() -> None:
    """It is not given back, and not asked about again and again."""
    bench = Workbench()
    token = await held(bench)
    bench.store.lose(KEY)
    bench.clock.advance(token.lifetime - 0.9)
    assert await asked_in_peace(bench) <= 2


async def test_a_newer_record_that_is_of_no_use_is_fetched_once() -> None:
    """Of replaced credentials: neither taken nor fought."""
    bench = Workbench(credential_version=2)
    behind = bench.replica(credential_version=1)
    await held(bench)
    bench.store.lose(KEY)
    bench.clock.advance(1.0)
    await held(behind)
    assert await asked_in_peace(bench) <= 2
    assert (bench.issuer.mints, await bench.store.generations([KEY])) == (2, [(await held(behind)).generation])


async def test_a_rotation_mints_a_successor_of_what_the_store_lost() -> None:
    """The token that is held here, and was confirmed a moment ago, is what the operator wants to be rid of."""
    bench = Workbench()
    token = await held(bench)
    bench.store.lose(KEY)
    assert await bench.broker.rotate(KEY, 5.0) == (token.generation, (await held(bench)).generation)
    assert (await held(bench)).generation > token.generation
    assert bench.issuer.mints == 2
