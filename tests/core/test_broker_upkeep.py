"""What the broker does unasked: hears the fleet, asks the store, mints successors in time, lets go."""

import asyncio
from dataclasses import replace
from functools import partial

from mintonce_server.core.cache import IDLE
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.core.token import Origin, Token
from support.options import BROKER_OPTIONS
from support.samples import KEY, lease_of, minted, named, shared
from support.scripted_issuer import refused
from support.waiting import wait_until
from support.workbench import GAP, Workbench, a_moment


async def due(bench: Workbench, token: Token) -> None:
    """The clock goes on to the token's refresh, and the key is seen to."""
    bench.clock.advance(token.refresh_at - bench.clock.monotonic())
    await bench.refresh()


def asked_more_often_than(bench: Workbench, seen: int) -> bool:
    return bench.store.calls["generations"] > seen


def held(bench: Workbench, key: TokenKey = KEY) -> Token:
    entry = bench.entry(key)
    assert entry
    assert entry.token
    return entry.token


async def successor(bench: Workbench, token: Token) -> Token:
    """Another replica minted and committed it."""
    lease = await lease_of(bench.store, token.key, newer_than=token.generation)
    committed = await bench.store.commit(lease, minted(bench.clock, "theirs", lifetime=3600.0))
    assert isinstance(committed, Token)
    return committed


async def test_a_commit_elsewhere_replaces_the_token_in_memory() -> None:
    """By its wake-up, without a caller that asks."""
    bench = Workbench()
    old = (await bench.get()).token
    async with bench.upkeep():
        new = await successor(bench, old)
        await wait_until(lambda: (served := bench.broker.peek(KEY)) and named(served.token) == named(new))
    assert bench.issuer.mints == 1


async def test_a_hint_of_a_rejection_makes_the_replica_ask_before_it_serves_again() -> None:
    """The message alone takes nothing away: a token that the store still has is served on."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.broker._reconciler.notice(Wake(WakeKind.REJECT, token.key_hash, token.generation))
    assert bench.broker.peek(KEY) is None
    asked = bench.store.calls["generations"]
    served = await bench.get()
    assert (served.token, served.origin, served.degraded) == (token, Origin.MEMORY, False)
    assert bench.store.calls["generations"] == asked + 1
    assert bench.broker.peek(KEY) is not None


async def test_a_rejection_elsewhere_empties_memory() -> None:
    """The hint comes with it, and the store knows."""
    bench = Workbench()
    old = (await bench.get()).token
    async with bench.upkeep():
        await a_moment()
        await bench.store.reject(KEY, old.generation, 30.0)
        await wait_until(lambda: held_or_none(bench) is None)
    assert (await bench.get()).token.generation > old.generation


def held_or_none(bench: Workbench) -> Token | None:
    """What the replica holds for KEY."""
    entry = bench.entry()
    return entry.token if entry else None


async def test_a_gap_makes_every_token_suspect() -> None:
    """Messages may have been lost: all are compared with the store in one round trip; those replaced are fetched."""
    bench = Workbench()
    keys = [TokenKey.of(KEY.client, f"https://api-{n}.example.com/") for n in range(5)]
    for key in keys:
        await bench.get(key)
    async with bench.upkeep():
        await wait_until(lambda: bench.store.calls["generations"] == 1)  # the GAP at the start
        bench.store.silent = True
        new = await successor(bench, held(bench, keys[0]))
        bench.broker._reconciler.notice(GAP)
        await wait_until(lambda: named(held(bench, keys[0])) == named(new))
    assert bench.store.calls["generations"] == 2
    assert bench.store.calls["load"] == 1
    assert bench.issuer.mints == 5


async def test_a_lost_message_is_made_good_within_the_revalidation_interval() -> None:
    """Whatever pub/sub does, memory is never staler than that."""
    bench = Workbench(options=replace(BROKER_OPTIONS, revalidate_within=0.05))
    old = (await bench.get()).token
    async with bench.upkeep():
        await wait_until(lambda: bench.store.calls["generations"] >= 1)  # the GAP at the start
        bench.store.silent = True
        new = await successor(bench, old)
        bench.clock.advance(0.04)
        await wait_until(lambda: named(held(bench)) == named(new))
    assert bench.issuer.mints == 1


async def test_revalidation_comes_round_even_when_there_is_news_all_the_time() -> None:
    """A busy fleet must not keep it from the keys without messages."""
    bench = Workbench(options=replace(BROKER_OPTIONS, revalidate_within=5.0))
    busy = TokenKey.of(KEY.client, "https://busy.example.com/")
    old = (await bench.get()).token
    await bench.get(busy)
    news = Wake(WakeKind.COMMIT, bench.store.key_hash(busy), 2**52)
    replaced: list[bool] = []

    def more_news() -> None:
        replaced.append(held(bench) != old)
        if bench.store.calls["load"] < 100:
            bench.store.after["load"] = more_news
        bench.clock.advance(0.1)
        bench.broker._reconciler.notice(news)

    async with bench.upkeep():
        await wait_until(lambda: bench.store.calls["generations"] >= 1)
        bench.store.silent = True
        await successor(bench, old)
        more_news()
        await wait_until(lambda: bench.store.calls["load"] >= 100)
    assert not replaced[0]
    assert replaced[-10]  # the news went on


async def test_a_replica_does_not_ask_about_its_own_commit() -> None:
    """It heard of what it did itself."""
    bench = Workbench()
    async with bench.upkeep():
        await wait_until(lambda: bench.store.calls["generations"] == 0)
        await bench.get()
        await a_moment()
        assert bench.store.calls["load"] == 0


async def test_an_outage_of_the_store_empties_no_memory() -> None:
    """No answer is not the answer that there is none."""
    bench = Workbench(options=replace(BROKER_OPTIONS, revalidate_within=0.01))
    served = await bench.get()
    bench.store.down = frozenset({"generations"})
    async with bench.upkeep():
        for _ in range(3):
            seen = bench.store.calls["generations"]
            bench.clock.advance(0.02)
            await wait_until(partial(asked_more_often_than, bench, seen))
    assert (again := bench.broker.peek(KEY))
    assert again.token == served.token


async def test_a_key_in_use_gets_its_successor_in_the_window() -> None:
    """All serve the old one until it is there; no caller waits."""
    bench = Workbench()
    old = (await bench.get()).token
    async with bench.upkeep():
        bench.clock.advance(old.refresh_at - bench.clock.monotonic())
        assert (await bench.get()).token == old
        bench.broker._refresher._schedule._changed.set()  # the refresher looks at the clock again
        await wait_until(lambda: (served := bench.broker.peek(KEY)) and served.token.generation > old.generation)
    assert bench.issuer.mints == 2


async def test_a_key_that_is_requested_now_and_then_is_always_refreshed() -> None:
    """Once in a lifetime is enough."""
    bench = Workbench()
    token = (await bench.get()).token
    for _ in range(4):
        bench.clock.advance(1000.0)
        token = (await bench.get()).token
        await due(bench, token)
    assert bench.issuer.mints == 5


async def test_one_replica_refreshes_for_all() -> None:
    """The second one that finds the key due takes the token of the first."""
    bench = Workbench()
    other = bench.replica()
    old = (await bench.get()).token
    assert (await other.get()).origin is Origin.STORE
    await due(bench, old)
    await other.refresh()
    assert bench.issuer.mints == 2
    assert (await other.get()).token.generation == (await bench.get()).token.generation > old.generation


async def test_an_idle_key_is_not_refreshed() -> None:
    """A key that was asked for once, by many callers at the same time, costs one POST; then it is let go."""
    bench = Workbench()
    token = (await asyncio.gather(*(bench.get() for _ in range(10))))[0].token
    bench.clock.advance(token.refresh_at - bench.clock.monotonic())
    await bench.refresh(in_use=False)
    assert bench.issuer.mints == 1
    assert bench.due_at() == token.expires_at
    bench.clock.advance(400.0)
    await bench.refresh(in_use=False)
    assert bench.entry() is None
    assert bench.due_at() is None


async def test_a_watched_key_is_refreshed_without_callers() -> None:
    """The watch sees each successor."""
    bench = Workbench()
    watch = bench.broker.watch(KEY, 5.0)
    seen = [(await anext(watch)).token]
    for _ in range(4):
        await due(bench, seen[-1])
        seen.append((await anext(watch)).token)
    await watch.aclose()
    assert len({token.generation for token in seen}) == 5
    assert bench.issuer.mints == 5


async def test_a_key_to_be_kept_warm_is_refreshed_without_callers() -> None:
    """keep_warm is what it is for."""
    bench = Workbench(keep_warm=True)
    await bench.get()
    for _ in range(4):
        entry = bench.entry()
        assert entry
        assert entry.token
        await due(bench, entry.token)
    assert bench.issuer.mints == 5


async def test_a_key_that_never_had_a_token_is_not_kept_warm() -> None:
    """Otherwise each invented key would be tried for ever."""
    bench = Workbench(keep_warm=True)
    bench.issuer.fails = refused
    await asyncio.gather(bench.get(), return_exceptions=True)
    for _ in range(3):
        bench.clock.advance(IDLE)
        await bench.refresh(in_use=False)
    assert bench.issuer.mints == 1
    assert bench.entry() is None


async def test_invented_keys_do_not_stay_in_memory() -> None:
    """What the issuer refuses and no caller requests again is forgotten within two minutes."""
    bench = Workbench()
    bench.issuer.fails = refused
    keys = [TokenKey.of(KEY.client, KEY.audience, [f"scope-{n}"]) for n in range(500)]
    await asyncio.gather(*(bench.get(key) for key in keys), return_exceptions=True)
    assert bench.issuer.mints == 500
    for _ in range(2):
        bench.clock.advance(IDLE)
        for key in keys:
            await bench.refresh(key, in_use=False)
    assert list(bench.broker._cache) == []
    assert not bench.broker._refresher._schedule._due
    assert bench.issuer.mints == 500


async def test_an_entry_is_kept_while_a_flight_for_it_is_under_way() -> None:
    """What the flight brings would otherwise be lost, and watches with it."""
    bench = Workbench()
    bench.issuer.gate.clear()
    caller = bench.asking()
    await bench.issuer.asked.wait()
    bench.clock.advance(IDLE)
    await bench.refresh()
    bench.issuer.gate.set()
    served = await caller
    assert (again := bench.broker.peek(KEY))
    assert again.token == served.token


async def test_a_refresh_that_failed_is_tried_again_when_the_trouble_says() -> None:
    """Not before, and not never."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.issuer.fails = refused
    await due(bench, old)
    began = bench.clock.monotonic()
    assert bench.due_at() == began + 30.0
    assert (await bench.get()).token == old
    bench.issuer.fails = None
    bench.clock.advance(30.0)
    await bench.refresh()
    assert (await bench.get()).token.generation > old.generation
    assert bench.issuer.mints == 3


async def test_a_refresh_finds_the_store_away_and_mints_nothing() -> None:
    """The token lives: there is time until the store is back."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.store.down = frozenset({"acquire"})
    await due(bench, old)
    assert bench.issuer.mints == 1
    assert bench.due_at() == bench.clock.monotonic() + 1.0


async def test_a_late_rejection_of_an_old_generation_mints_nothing() -> None:
    """Neither at once nor when the key is next seen to: the current token is not to blame."""
    bench = Workbench()
    first = (await bench.get()).token
    await bench.broker.reject(KEY, first.generation)
    second = (await bench.get()).token
    for _ in range(3):
        await bench.broker.reject(KEY, first.generation)
        bench.broker._reconciler.notice(Wake(WakeKind.REJECT, first.key_hash, first.generation))
        assert bench.due_at() == second.refresh_at
        bench.clock.advance(IDLE)
        await bench.refresh()
    assert bench.due_at() == second.refresh_at
    assert bench.issuer.mints == 2


async def test_a_watch_is_owed_a_successor_at_once_when_its_token_is_rejected() -> None:
    """There may be no other caller."""
    bench = Workbench()
    async with bench.upkeep():
        watch = bench.broker.watch(KEY, 5.0)
        first = (await anext(watch)).token
        await bench.broker.reject(KEY, first.generation)
        async with asyncio.timeout(5.0):
            second = (await anext(watch)).token
        await watch.aclose()
    assert second.generation > first.generation
    assert bench.issuer.mints == 2


async def test_a_rejected_token_does_not_come_back_when_the_store_lost_the_rejection() -> None:
    """A failover may; a replica that heard it remembers."""
    bench = Workbench()
    old = (await bench.get()).token
    before = bench.store.copy(KEY)
    await bench.broker.reject(KEY, old.generation)
    bench.store.fail_over(KEY, before)
    assert (await bench.get()).token.generation > old.generation
    assert bench.issuer.mints == 2


async def test_what_was_rejected_while_it_was_under_way_is_not_served() -> None:
    """Who asked after the rejection may have joined a flight that had its answer from the store just before."""
    bench = Workbench()
    old = await shared(bench.store, bench.clock, lifetime=3600.0)

    def rejected_elsewhere() -> None:
        bench.broker._reconciler.notice(Wake(WakeKind.REJECT, old.key_hash, old.generation))
        bench.store.server.entries[old.key_hash].record = None

    bench.store.after["acquire"] = rejected_elsewhere
    assert (await bench.get()).token.generation > old.generation
    assert bench.issuer.mints == 1
