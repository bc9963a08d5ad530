"""A budget that is used up refuses waste, and never what a caller needs (`when_used_up = "needed_only"`)."""

import asyncio
from contextlib import aclosing

import pytest

from mintonce_server.core.budget import REJECT_INTERVAL, WARM_AGAIN, last_refresh_at
from mintonce_server.core.errors import BudgetUsedUp, Reason, RotationTooSoon
from mintonce_server.core.token import Token, expiry_margin
from support.samples import KEY, named
from support.workbench import OPTIONS, Workbench

LEFT = 86_400.0
"""Seconds of the window."""


async def used_up(*, keep_warm: bool = False) -> tuple[Workbench, Token]:
    """A replica with a token and no budget."""
    bench = Workbench(keep_warm=keep_warm)
    token = (await bench.get()).token
    bench.refused_for = LEFT
    return bench, token


async def test_a_rotation_is_refused_and_says_until_when() -> None:
    """The token goes on being served."""
    bench, token = await used_up()
    with pytest.raises(BudgetUsedUp) as caught:
        await bench.broker.rotate(KEY, 5.0)
    assert (caught.value.reason, caught.value.retry_after) == (Reason.BUDGET_USED_UP, LEFT)
    assert caught.value.remedy
    assert named((await bench.get()).token) == named(token)
    bench.refused_for = None
    assert await bench.broker.rotate(KEY, 5.0) == (token.generation, (await bench.get()).token.generation)
    assert bench.issuer.mints == 2


async def test_a_caller_without_a_token_gets_one() -> None:
    """The first, the one after the end, and the one after a rejection."""
    bench, token = await used_up()
    fresh = Workbench()
    fresh.refused_for = LEFT
    await fresh.get()
    assert fresh.issuer.mints == 1
    bench.clock.advance(token.lifetime + 1.0)
    second = (await bench.get()).token
    assert await bench.broker.reject(KEY, second.generation)
    assert (await bench.get()).token.generation > second.generation
    assert bench.issuer.mints == 3


async def test_a_refresh_waits_until_it_is_needed() -> None:
    """The token is used up, and its successor is there before a caller would wait for it."""
    bench, token = await used_up()
    bench.clock.advance(token.refresh_at - bench.clock.monotonic())
    await bench.refresh()
    latest = last_refresh_at(token.expires_at, token.lifetime)
    assert bench.due_at() == latest > token.refresh_at
    assert bench.issuer.mints == 1
    bench.clock.advance(latest - bench.clock.monotonic())
    assert bench.clock.monotonic() < token.expires_at - expiry_margin(token.lifetime)
    await bench.refresh()
    assert bench.issuer.mints == 2
    assert not (await bench.get()).degraded


async def test_a_refresh_comes_in_time_again_when_the_budget_does() -> None:
    """What was put off is not put off for longer."""
    bench, token = await used_up()
    bench.clock.advance(token.refresh_at - bench.clock.monotonic())
    bench.refused_for = None
    await bench.refresh()
    assert bench.issuer.mints == 2


async def test_a_watch_gets_each_successor() -> None:
    """Late, but before the end."""
    bench, token = await used_up()
    async with aclosing(bench.broker.watch(KEY, 5.0)) as watch:
        await anext(watch)
        bench.clock.advance(last_refresh_at(token.expires_at, token.lifetime) - bench.clock.monotonic())
        await bench.catch_up()
        await bench.refresh(in_use=False)
        async with asyncio.timeout(5.0):
            assert (await anext(watch)).token.generation > token.generation


async def test_a_key_that_is_only_kept_warm_gets_cold_and_warm_again_with_the_next_window() -> None:
    """It is not forgotten meanwhile, and a caller that comes gets a token."""
    bench, token = await used_up(keep_warm=True)
    bench.clock.advance(token.refresh_at - bench.clock.monotonic())
    for _ in range(20):
        await bench.refresh(in_use=False)
        assert bench.due_at() == bench.clock.monotonic() + WARM_AGAIN
        bench.clock.advance(WARM_AGAIN)
    assert token.expires_at < bench.clock.monotonic()
    assert bench.issuer.mints == 1
    bench.refused_for = None
    await bench.refresh(in_use=False)
    assert bench.issuer.mints == 2


async def test_rejections_of_one_key_count_once_in_ten_minutes() -> None:
    """By the store's memory, too: another replica does not count one more."""
    bench, token = await used_up()
    other = bench.replica()
    other.refused_for = LEFT
    assert await bench.broker.reject(KEY, token.generation)
    second = (await bench.get()).token
    bench.clock.advance(OPTIONS.min_rotation_interval + 1.0)
    for replica in (bench, other):
        with pytest.raises(RotationTooSoon) as caught:
            await replica.broker.reject(KEY, second.generation)
        assert 0.0 < (caught.value.retry_after or 0.0) <= REJECT_INTERVAL
    bench.clock.advance(REJECT_INTERVAL)
    assert await bench.broker.reject(KEY, second.generation)
