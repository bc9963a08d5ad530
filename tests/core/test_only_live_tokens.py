"""Nothing dead is handed out, and nothing dead keeps a live token away: get, watch, flights, memory, write-back."""

import asyncio
from contextlib import aclosing

import pytest

from mintonce_server.core import events
from mintonce_server.core.broker import Served
from mintonce_server.core.cache import Entry
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import IssuerUnavailable, MintonceError
from mintonce_server.core.token import Token
from support.clocks import ManualClock
from support.samples import KEY, minted, named, shared
from support.scripted_issuer import ScriptedIssuer
from support.troubled_store import ALL
from support.workbench import Workbench, a_moment

CLIENT = OAuthClient(KEY.client, ScriptedIssuer(ManualClock()))


def token_of(clock: ManualClock, generation: int, lifetime: float, *, provisional: bool = False) -> Token:
    mint = minted(clock, f"token-{generation}", lifetime=lifetime)
    return Token.of(mint, KEY, "hash", generation, 1, 0.0, provisional=provisional)


def test_a_dead_token_with_a_higher_number_holds_no_place() -> None:
    """A token minted alone has ended; the fleet's, with a lower number, lives."""
    clock = ManualClock()
    entry = Entry(KEY, "hash", CLIENT, clock.monotonic())
    entry.offer(token_of(clock, 9, 5.0, provisional=True), 0.0, clock.monotonic())
    fleets = token_of(clock, 7, 100.0)
    assert not entry.offer(fleets, 0.0, clock.monotonic())
    clock.advance(5.0)
    assert entry.offer(fleets, 0.0, clock.monotonic())
    assert entry.token == fleets


def test_a_dead_token_is_not_taken() -> None:
    """Whatever its number."""
    clock = ManualClock()
    entry = Entry(KEY, "hash", CLIENT, clock.monotonic())
    dead = token_of(clock, 9, 5.0)
    clock.advance(5.0)
    assert not entry.offer(dead, 0.0, clock.monotonic())
    assert entry.token is None


async def test_a_watch_gets_the_fleets_token_when_the_one_minted_alone_has_ended() -> None:
    """Though it has a lower number, since this host's clock is ahead; and never the dead one."""
    bench = Workbench()
    bench.broker._fetcher._outage_minter._clock = ManualClock(bench.clock.monotonic(), bench.clock.unix() + 7200.0)
    bench.store.down = ALL
    bench.issuer.lifetime = 5.0
    async with aclosing(bench.broker.watch(KEY, 5.0)) as watch:
        alone = (await anext(watch)).token
        assert alone.provisional
        bench.store.down = frozenset()
        fleets = await shared(bench.store, bench.clock, lifetime=3600.0)
        assert fleets.generation < alone.generation
        bench.clock.advance(5.0)
        coming = asyncio.ensure_future(anext(watch))
        await a_moment()
        assert not coming.done()
        await bench.catch_up()
        assert named((await coming).token) == named(fleets)


async def test_a_watch_is_sent_no_token_that_ended_before_it_could_be_sent() -> None:
    """The watcher was slow: what came meanwhile is over, and the next one is live."""
    bench = Workbench()
    async with aclosing(bench.broker.watch(KEY, 5.0)) as watch:
        await anext(watch)
        bench.issuer.lifetime = 5.0
        await bench.broker.rotate(KEY, 5.0)
        bench.clock.advance(5.0)
        bench.issuer.lifetime = 3600.0
        coming = asyncio.ensure_future(anext(watch))
        await a_moment()
        assert not coming.done()
        fresh = (await bench.get()).token
        assert named((await coming).token) == named(fresh)


async def test_a_token_that_ended_while_its_post_was_under_way_is_not_served() -> None:
    """To all who waited it is a failure of the issuer that says how long it took, and the fleet shares it."""
    bench = Workbench()
    bench.issuer.lifetime = 3.0
    bench.issuer.gate.clear()
    callers = [bench.asking() for _ in range(3)]
    await bench.issuer.asked.wait()
    bench.clock.advance(3.5)
    bench.issuer.gate.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(answer) for answer in answers} == {IssuerUnavailable}
    assert {str(answer) for answer in answers} == {"the issuer's answer took 3.5 s, and the token in it lived 3.0 s"}
    with pytest.raises(IssuerUnavailable):
        await bench.replica().get()
    assert bench.issuer.mints == 1


async def test_a_token_that_ended_while_it_was_minted_alone_is_not_served() -> None:
    """Without the store it is no other."""
    bench = Workbench()
    bench.store.down = ALL
    bench.issuer.lifetime = 3.0
    bench.issuer.gate.clear()
    caller = bench.asking()
    await bench.issuer.asked.wait()
    bench.clock.advance(3.5)
    bench.issuer.gate.set()
    with pytest.raises(IssuerUnavailable):
        await caller


async def test_who_joined_a_flight_whose_token_is_over_gets_a_live_one() -> None:
    """The first caller takes what the flight brought; who comes to it too late asks again."""
    bench = Workbench()
    bench.issuer.lifetime = 10.0
    await bench.get()
    bench.clock.advance(10.0)

    def time_passes() -> None:
        bench.store.after.pop("commit")
        bench.clock.advance(11.0)

    bench.store.after["commit"] = time_passes
    answers = await asyncio.gather(*(bench.get() for _ in range(5)), return_exceptions=True)
    now = bench.clock.monotonic()
    assert all(isinstance(answer, Served) and answer.token.is_live(now) for answer in answers)


async def test_a_token_that_came_just_before_its_end_says_so() -> None:
    """It is not called too short: the issuer was slow."""
    bench = Workbench()
    bench.issuer.lifetime = 4.0
    bench.issuer.gate.clear()
    caller = bench.asking()
    await bench.issuer.asked.wait()
    bench.clock.advance(3.5)
    bench.issuer.gate.set()
    served = await caller
    assert (served.degraded, served.token.is_live(bench.clock.monotonic())) == (True, True)
    bench.clock.advance(0.6)
    late = bench.asking()
    await a_moment()
    bench.clock.advance(0.5)
    answer = (await asyncio.gather(late, return_exceptions=True))[0]
    assert not isinstance(answer, MintonceError), answer
    assert not [event for event in bench.events(events.MintFailed) if "too short" in str(event.error)]


async def test_what_ended_here_stays_over_though_the_store_s_clock_was_set_back() -> None:
    """After a failover to a host whose clock is behind, the record looks alive for a while."""
    bench = Workbench()
    bench.issuer.lifetime = 10.0
    token = (await bench.get()).token
    bench.clock.advance(10.0)
    bench.store.server.clock = ManualClock(unix=bench.clock.unix() - 5.0)
    served = await bench.get()
    assert served.token.generation > token.generation
    assert bench.issuer.mints == 2


async def test_nor_does_a_back_off_bring_it_back() -> None:
    """The issuer repeats its token, and a store whose clock was set back shows that as live."""
    bench = Workbench()
    bench.issuer.lifetime, bench.issuer.text = 10.0, "until-it-ends"
    await bench.get()
    bench.clock.advance(9.2)
    bench.issuer.lifetime = 0.8
    bench.store.server.clock = ManualClock(unix=bench.clock.unix() - 5.0)
    await bench.refresh()
    bench.clock.advance(0.8)
    with pytest.raises(MintonceError):
        await bench.get()


async def test_the_refresh_of_a_dead_token_takes_the_fleets_with_a_lower_number() -> None:
    """It mints none where a live one is there."""
    bench = Workbench(keep_warm=True)
    bench.broker._fetcher._outage_minter._clock = ManualClock(bench.clock.monotonic(), bench.clock.unix() + 7200.0)
    bench.store.down = ALL
    bench.issuer.lifetime = 5.0
    alone = (await bench.get()).token
    bench.store.down = frozenset()
    fleets = await shared(bench.store, bench.clock, lifetime=3600.0)
    assert fleets.generation < alone.generation
    bench.clock.advance(5.0)
    await bench.refresh()
    assert named((await bench.get()).token) == named(fleets)
    assert bench.issuer.mints == 1
