"""A mint, a number or an answer that comes after a rejection or the end of an outage."""

import asyncio

import pytest

from mintonce_server.core.errors import IssuerError, WaitTimedOut
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Acquired, AcquireRequest, Lease
from mintonce_server.core.token import Token
from support.clocks import ManualClock
from support.samples import KEY, acquire_request, as_lease, lease_of, minted, named
from support.scripted_issuer import unavailable
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import Workbench, a_moment


async def stored_by_another(bench: Workbench) -> Token:
    """The fleet has a token that this replica does not know."""
    token = await bench.store.commit(await lease_of(bench.store), minted(bench.clock, lifetime=3600.0))
    assert isinstance(token, Token)
    return token


async def test_a_mint_of_an_outage_that_a_rejection_overtakes_costs_its_caller_no_error() -> None:
    """The store is back by the time that it comes: there is a second request."""
    bench = Workbench()
    bench.store.down = ALL
    bench.issuer.gate.clear()
    asking = bench.asking()
    await wait_until(bench.issuer.asked.is_set)
    bench.store.down = frozenset()
    rejected = await stored_by_another(bench)
    assert await bench.broker.reject(KEY, rejected.generation)
    bench.issuer.gate.set()
    served = await asking
    assert served.token.generation > rejected.generation
    assert not served.degraded


async def test_a_rotation_does_not_fail_by_an_outage_that_was_over_before_it() -> None:
    """A mint without the store is still under way: its end is no answer to who asked later."""
    bench = Workbench()
    bench.store.down = ALL
    bench.issuer.gate.clear()
    asking = bench.asking()
    await wait_until(bench.issuer.asked.is_set)
    bench.store.down = frozenset()
    current = await stored_by_another(bench)
    rotating = asyncio.create_task(bench.broker.rotate(KEY, 5.0))
    await a_moment()
    bench.issuer.gate.set()
    await asking
    before, after = await rotating
    assert before == current.generation < after


async def test_a_token_rejected_under_its_number_gets_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two questions for a number were under way. The lease of the second one is given back at once."""
    bench = Workbench()
    bench.store.down = ALL
    token = (await bench.get()).token
    bench.store.down = frozenset()
    acquire = bench.store.acquire

    async def late(key: TokenKey, wanted: AcquireRequest) -> Acquired:
        monkeypatch.undo()
        lease = as_lease(await acquire(key, acquire_request(newer_than=token.generation)))
        first = token.adopted(lease.generation, lease.unix_minus_monotonic, reissued=False)
        await bench.store.restore(first)
        await bench.store.reject(KEY, lease.generation, 30.0)
        return await acquire(key, wanted)

    monkeypatch.setattr(bench.store, "acquire", late)
    await bench.catch_up()
    assert await bench.store.load([KEY]) == [None]
    assert isinstance(await bench.store.acquire(KEY, acquire_request()), Lease)
    assert bench.broker.peek(KEY) is None


@pytest.mark.parametrize("step", [0.0, 5.0])
async def test_the_last_second_of_a_rejected_token_is_not_served(step: float) -> None:
    """Its replica was stopped. To a store whose clock is ahead it is over: no answer says that it was rejected."""
    bench = Workbench()
    bench.issuer.lifetime = 10.0
    token = (await bench.get()).token
    bench.store.silent = True
    await bench.store.reject(KEY, token.generation, 30.0)
    bench.clock.advance(8.0 if step else 9.3)
    bench.store.server.clock = ManualClock(unix=bench.clock.unix() + step)
    assert named((await bench.get()).token) != named(token)


async def test_nor_is_it_served_when_the_issuer_fails() -> None:
    """The caller gets the error: an issuer in trouble does not make a rejected token good."""
    bench = Workbench()
    bench.issuer.lifetime = 10.0
    token = (await bench.get()).token
    bench.store.silent = True
    await bench.store.reject(KEY, token.generation, 30.0)
    bench.clock.advance(9.3)
    bench.issuer.fails = unavailable
    with pytest.raises(IssuerError):
        await bench.get()


async def test_who_waits_instead_waits_to_the_deadline() -> None:
    """What may have been rejected is not asked about again and again, each time for half of its life."""
    bench = Workbench()
    bench.issuer.lifetime = 10.0
    token = (await bench.get()).token
    bench.store.silent = True
    await bench.store.reject(KEY, token.generation, 30.0)
    bench.clock.advance(9.3)
    bench.issuer.gate.clear()
    asked = bench.store.calls["generations"]
    with pytest.raises(WaitTimedOut):
        await bench.get(deadline=1.0)
    assert bench.store.calls["generations"] == asked + 1
    bench.issuer.gate.set()
