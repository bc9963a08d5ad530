"""A token that was minted without the store gets a number of the store's when that is back, and costs nothing more."""

import asyncio

from mintonce_server.core.errors import Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Acquired, AcquireRequest, Backoff, Failure
from mintonce_server.core.token import Token
from support.clocks import ManualClock
from support.samples import KEY, acquire_request, lease_of, load_all, named
from support.troubled_store import ALL
from support.workbench import Workbench, a_moment


async def minted_alone(bench: Workbench) -> Token:
    """The store is back, and has not been asked yet."""
    bench.store.down = ALL
    token = (await bench.get()).token
    bench.store.down = frozenset()
    assert token.provisional
    return token


async def test_the_issuer_s_back_off_does_not_matter() -> None:
    """There is no request to the issuer. A replica that would mint continues to wait."""
    bench = Workbench()
    token = await minted_alone(bench)
    await bench.store.fail(await lease_of(bench.store), Failure(Reason.ISSUER_THROTTLED), 300.0)
    await bench.catch_up()
    (kept,) = await load_all(bench.store, [KEY])
    assert kept is not None
    assert kept.access_token == token.access_token
    assert isinstance(await bench.store.acquire(KEY, acquire_request(newer_than=kept.generation)), Backoff)
    assert bench.issuer.mints == 1


async def test_its_number_is_above_the_one_that_it_was_served_under() -> None:
    """Though this host's clock is ahead of the store's: a watch that saw the old number takes the new one."""
    bench = Workbench()
    bench.broker._fetcher._outage_minter._clock = ManualClock(bench.clock.monotonic(), bench.clock.unix() + 7200.0)
    token = await minted_alone(bench)
    await bench.catch_up()
    served = (await bench.get()).token
    assert served.access_token == token.access_token
    assert served.generation > token.generation > int(bench.clock.unix() * 1_000_000)


async def test_another_replica_s_mint_comes_first() -> None:
    """While it holds the lease, the token stays where it is; afterwards the fleet has one."""
    bench = Workbench()
    token = await minted_alone(bench)
    lease = await lease_of(bench.store)
    await bench.catch_up()
    assert named((await bench.get()).token) == named(token)
    await bench.store.fail(lease, Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
    await bench.catch_up()
    (kept,) = await load_all(bench.store, [KEY])
    assert kept is not None
    assert kept.served_as == token.generation
    assert bench.issuer.mints == 1


async def test_who_looks_while_a_token_is_numbered_waits_for_its_number() -> None:
    """It may be rejected by now: no caller gets it before the store has confirmed it."""
    bench = Workbench()
    bench.issuer.text = "the same text"
    alone = await minted_alone(bench)
    other = bench.replica()
    assert await other.broker.reject(KEY, (await other.get()).token.generation)
    bench.issuer.text = None
    behind, acquire = asyncio.Event(), bench.store.acquire

    async def slowly(key: TokenKey, request: AcquireRequest) -> Acquired:
        answer = await acquire(key, request)
        bench.store.acquire = acquire  # type: ignore[method-assign] # only the first one is slow
        await behind.wait()
        return answer

    bench.store.acquire = slowly  # type: ignore[method-assign] # the wire is slow
    adopting = asyncio.create_task(bench.catch_up())
    await a_moment()
    asking = bench.asking()
    await a_moment()
    assert not asking.done()
    behind.set()
    await adopting
    assert (await asking).token.access_token != alone.access_token
