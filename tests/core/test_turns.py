"""What hangs at an issuer takes some of the turns there, and never all of them."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from mintonce_server.core import events, turns
from mintonce_server.core.errors import IssuerRefused, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.turns import NoTurn, Turns
from support.samples import KEY
from support.scripted_issuer import refused, unavailable
from support.waiting import wait_until
from support.workbench import Workbench, a_moment

MOST = 8


async def taken(turns: Turns, held: AsyncExitStack, caller: str, tries: int = 2 * MOST) -> int:
    """How many of so many tries are granted at once; all that were granted are held."""
    granted = 0
    for number in range(tries):
        asking = asyncio.create_task(held.enter_async_context(turns.turn(caller, f"{caller} {number}")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if asking.done():
            granted += 1
        else:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    return granted


async def served(order: list[str], name: str) -> None:
    """The POST of this name is under way, or was."""
    await wait_until(lambda: name in order)


async def failed(turns: Turns, key_hash: str, error: Exception) -> None:
    """A POST that ended so."""
    with pytest.raises(type(error)):
        async with turns.turn("key:a", key_hash):
            raise error


async def test_one_caller_has_half_of_the_turns() -> None:
    """However many keys it asks for."""
    async with AsyncExitStack() as held:
        assert await taken(Turns(MOST), held, "key:a") == MOST // 2


async def test_another_caller_has_a_turn_at_once_while_one_has_all_that_it_may() -> None:
    """It need not wait for anything of the other's to end."""
    turns = Turns(MOST)
    async with AsyncExitStack() as held:
        await taken(turns, held, "key:greedy")
        assert await taken(turns, held, "key:modest", tries=1) == 1


async def test_no_more_than_the_bound_are_under_way() -> None:
    """However many callers there are."""
    turns = Turns(MOST)
    async with AsyncExitStack() as held:
        assert sum([await taken(turns, held, f"key:{number}") for number in range(MOST)]) == MOST


async def test_callers_who_wait_are_served_in_turn() -> None:
    """One who has many waiting does not come before another's first."""
    turns, order, gates = Turns(4), list[str](), dict[str, asyncio.Event]()

    async def post(name: str) -> None:
        gates[name] = asyncio.Event()
        async with turns.turn(name[0], name):
            order.append(name)
            await gates[name].wait()

    async with asyncio.TaskGroup() as posts:
        for name in ("a1", "a2", "b1", "a3", "a4", "b2"):
            posts.create_task(post(name))
            await asyncio.sleep(0)
        for name in ("a1", "a2", "a3", "b1", "a4", "b2"):
            await served(order, name)
            gates[name].set()
    assert order == ["a1", "a2", "b1", "a3", "b2", "a4"]


async def test_a_caller_that_waits_in_vain_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time, with a time to come back, and without a place in the queue."""
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    of_one = Turns(1)
    async with of_one.turn("key:a", "slow"):
        with pytest.raises(NoTurn) as refusal:
            async with of_one.turn("key:b", "fast"):
                pytest.fail("there was no turn")
        assert refusal.value.retry_after == 1.0
    async with of_one.turn("key:b", "fast"):
        pass


async def test_time_in_which_the_process_was_stopped_is_not_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits for came in the meantime, perhaps, and is looked at first."""
    loop, stopped, of_one = asyncio.get_running_loop(), 0.0, Turns(1)
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + stopped)
    async with AsyncExitStack() as stack:
        async with of_one.turn("key:a", "a"):
            waiting = asyncio.create_task(stack.enter_async_context(of_one.turn("key:b", "b")))
            await a_moment()
            stopped = 2 * turns.PATIENCE
            await a_moment()
        await waiting


async def test_calls_between_two_waits_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often there is news: a wait ends."""
    loop, passed = asyncio.get_running_loop(), 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + passed)
    patience, news = turns.WaitBudget(), asyncio.Event()
    news.set()
    waits = round(turns.PATIENCE / turns.ASK_AGAIN)
    for _ in range(waits):
        await patience.wait(news.wait)
        passed += turns.ASK_AGAIN
    with pytest.raises(NoTurn):
        await patience.wait(news.wait)


async def test_a_caller_who_gives_up_as_its_turn_comes_leaves_it_to_others() -> None:
    """The turn is not lost."""
    of_one = Turns(1)
    async with AsyncExitStack() as stack:
        async with of_one.turn("key:a", "a"):
            leaving = asyncio.create_task(stack.enter_async_context(of_one.turn("key:b", "b")))
            await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await taken(of_one, stack, "key:c", tries=1) == 1


async def test_keys_that_hung_count_as_one_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where callers have no names, an API that hangs must not keep the others out either."""
    monkeypatch.setattr(turns, "SLOW", 0.0)
    many = Turns(MOST)
    for number in range(2 * MOST):
        await failed(many, f" {number}", unavailable())
    async with AsyncExitStack() as held:
        assert await taken(many, held, "") == MOST // 2
        async with many.turn("", "of another API"):
            pass


@pytest.mark.parametrize("error", [refused(), unavailable()])
async def test_a_key_that_fails_fast_does_not_count_as_slow(error: IssuerRefused | IssuerUnavailable) -> None:
    """It kept no other caller from a turn."""
    many = Turns(2)
    await failed(many, "first", error)
    await failed(many, "second", error)
    async with many.turn("key:a", "first"), many.turn("key:b", "second"):
        pass


async def test_a_key_that_answers_again_counts_for_its_caller_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was slow once is not slow forever."""
    monkeypatch.setattr(turns, "SLOW", 0.0)
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    many = Turns(2)
    await failed(many, "first", unavailable())
    await failed(many, "second", unavailable())
    async with many.turn("key:a", "first"):
        with pytest.raises(NoTurn):  # both are slow, and the slow have one turn of the two
            async with many.turn("key:b", "second"):
                pytest.fail("there was no turn")
    async with many.turn("key:a", "first"), many.turn("key:b", "second"):
        pass


async def test_the_slow_that_are_remembered_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys can be invented."""
    monkeypatch.setattr(turns, "SLOW", 0.0)
    monkeypatch.setattr(turns, "SLOW_REMEMBERED", 1)
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    many = Turns(2)
    await failed(many, "first", unavailable())
    await failed(many, "second", unavailable())
    async with many.turn("key:a", "first"), many.turn("key:b", "second"):
        pass


async def test_hanging_keys_of_one_caller_hold_up_no_other_caller() -> None:
    """An issuer that hangs for some audiences gives tokens for the others, by call and by refresh."""
    bench = Workbench()
    known = (await bench.get()).token
    bench.issuer.hangs_for = "https://hangs.example.com/"
    hanging = [TokenKey.of(KEY.client, f"https://hangs.example.com/{number}") for number in range(2 * turns.AT_ONCE)]
    calls = [asyncio.create_task(bench.broker.get(key, 0.0, 5.0, caller="key:greedy")) for key in hanging]
    await a_moment()
    bench.clock.advance(known.refresh_at - bench.clock.monotonic())
    await bench.refresh()
    assert (await bench.get()).token.generation > known.generation
    other = TokenKey.of(KEY.client, "https://other.example.com/")
    assert (await bench.broker.get(other, 0.0, 5.0, caller="key:modest")).token.is_live(bench.clock.monotonic())
    for call in calls:
        call.cancel()
    bench.issuer.end_of_hanging.set()
    await bench.broker.close(1.0)


async def test_a_key_without_a_turn_leaves_no_lease_and_is_minted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is shared, logged, and short."""
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    bench = Workbench()
    await bench.get()  # so that POSTs go as they come
    bench.issuer.hangs_for = "https://hangs.example.com/"
    hanging = [TokenKey.of(KEY.client, f"https://hangs.example.com/{number}") for number in range(2 * turns.AT_ONCE)]
    calls = [asyncio.create_task(bench.get(key)) for key in hanging]
    with pytest.raises(IssuerUnavailable, match="under way"):
        await calls[-1]
    assert bench.issuer.mints == 1 + turns.AT_ONCE // 2
    assert "too many requests" in str(bench.events(events.MintFailed)[-1].error)
    bench.issuer.end_of_hanging.set()
    await asyncio.gather(*calls, return_exceptions=True)
    bench.clock.advance(1.5)
    assert (await bench.get(hanging[-1])).token.is_live(bench.clock.monotonic())
