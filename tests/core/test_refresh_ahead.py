"""Successors are minted ahead: by one replica, while all serve the old token, and no caller ever waits."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

from mintonce_server.core.token import Origin, Token
from support.samples import named
from support.scripted_issuer import unavailable
from support.waiting import wait_until
from support.workbench import Workbench, a_moment

CALLERS = 50


@asynccontextmanager
async def fleet(count: int) -> AsyncGenerator[tuple[list[Workbench], Token]]:
    """Replicas that all run, and that all hold the first token."""
    first = Workbench()
    replicas = [first, *(first.replica() for _ in range(count - 1))]
    async with AsyncExitStack() as stack:
        for replica in replicas:
            await stack.enter_async_context(replica.upkeep())
        token = (await first.get()).token
        for replica in replicas:
            assert named((await replica.get()).token) == named(token)
        yield replicas, token


def holds_newer(replica: Workbench, old: Token) -> bool:
    entry = replica.entry()
    return entry is not None and entry.token is not None and entry.token.generation > old.generation


async def time_to_refresh(replicas: list[Workbench], token: Token) -> None:
    """The clock goes on to the refresh, in steps that keep the store's answer fresh; every replica looks at it."""
    replicas[0].clock.advance(token.refresh_at - replicas[0].clock.monotonic())
    for replica in replicas:
        await replica.catch_up()
        replica.broker._refresher._schedule._changed.set()


async def test_all_are_served_the_old_token_while_one_replica_mints_its_successor() -> None:
    """Every call is answered from memory, at once and unmarked, at every replica; then all have the new one."""
    async with fleet(3) as (replicas, old):
        issuer = replicas[0].issuer
        issuer.gate.clear()
        issuer.asked.clear()
        await time_to_refresh(replicas, old)
        await issuer.asked.wait()
        served = [replica.broker.peek(old.key) for replica in replicas for _ in range(CALLERS)]
        assert all(one is not None and named(one.token) == named(old) and not one.degraded for one in served)
        issuer.gate.set()
        for replica in replicas:
            await wait_until(partial(holds_newer, replica, old))
        assert len({(await replica.get()).token.generation for replica in replicas}) == 1
    assert issuer.mints == 2


async def test_a_refresh_waits_for_no_caller_and_no_caller_for_it() -> None:
    """A caller who comes meanwhile is not put into the refresh's flight."""
    async with fleet(1) as ([replica], old):
        replica.issuer.gate.clear()
        replica.issuer.asked.clear()
        await time_to_refresh([replica], old)
        await replica.issuer.asked.wait()
        async with asyncio.timeout(1.0):
            served = await replica.get(deadline=0.5)
        assert (served.token, served.origin) == (old, Origin.MEMORY)
        replica.issuer.gate.set()


async def test_who_hears_of_the_successor_mints_none() -> None:
    """Its own refresh is put off to that of the new token."""
    async with fleet(2) as ([one, other], old):
        one.clock.advance(old.refresh_at - one.clock.monotonic())
        await one.refresh()
        new = (await one.get()).token
        await wait_until(lambda: holds_newer(other, old))
        assert other.due_at() == pytest.approx(new.refresh_at, abs=0.002)
        await other.refresh()
    assert one.issuer.mints == 2


async def test_a_failed_refresh_troubles_no_caller() -> None:
    """The old token is served unmarked as long as it is comfortable, and the fleet's back-off holds all replicas."""
    async with fleet(3) as (replicas, old):
        issuer = replicas[0].issuer
        issuer.fails = unavailable
        await time_to_refresh(replicas, old)
        await wait_until(lambda: issuer.mints == 2)
        await a_moment()
        for replica in replicas:
            served = await replica.get()
            assert (named(served.token), served.degraded) == (named(old), False)
    assert issuer.mints == 2


async def test_nothing_is_minted_before_the_window() -> None:
    """A minute before, every replica looks and lets it be."""
    async with fleet(2) as (replicas, old):
        replicas[0].clock.advance(old.refresh_at - replicas[0].clock.monotonic() - 60.0)
        for replica in replicas:
            await replica.catch_up()
            await replica.refresh()
            assert replica.due_at() == pytest.approx(old.refresh_at, abs=0.002)
    assert replicas[0].issuer.mints == 1


async def test_a_warm_key_is_kept_by_a_fleet_without_callers() -> None:
    """One mint a lifetime for all of it."""
    bench = Workbench(keep_warm=True)
    other = bench.replica()
    token = (await bench.get()).token
    await other.get()
    for n in range(2, 6):
        bench.clock.advance(token.refresh_at - bench.clock.monotonic())
        for replica in (bench, other):
            await replica.catch_up()
            await replica.refresh()
        entry = other.entry()
        assert entry
        assert entry.token
        token = entry.token
        assert bench.issuer.mints == n
