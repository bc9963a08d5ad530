"""The places of a client's keys in memory: bounded, shared fairly, and free again when they are not used."""

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest

from mintonce_server.core.cache import IDLE, LOOKED_AT, Entry, Places
from mintonce_server.core.client import OAuthClient
from mintonce_server.core.errors import LimitExceeded
from mintonce_server.core.key import TokenKey
from mintonce_server.core.schedule import STALE, Schedule
from support.clocks import ManualClock
from support.options import BROKER_OPTIONS
from support.samples import KEY
from support.scripted_issuer import ScriptedIssuer
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import PATIENCE, Workbench

CLIENT = OAuthClient(KEY.client, ScriptedIssuer(ManualClock()))

PLACES = 4


def key(scope: str, client: str = KEY.client) -> TokenKey:
    return TokenKey.of(client, KEY.audience, (scope,))


def bench(*, keep_warm: bool = False) -> Workbench:
    return Workbench(options=replace(BROKER_OPTIONS, max_keys_per_client=PLACES), keep_warm=keep_warm)


async def ask(on: Workbench, caller: str, *scopes: str) -> None:
    for scope in scopes:
        await on.broker.get(key(scope), 0.0, PATIENCE, caller=caller)


def held(on: Workbench) -> set[str]:
    return {entry.key.scopes[0] for entry in on.broker._cache}


async def test_a_caller_that_holds_all_places_keeps_no_other_out() -> None:
    """Its keys are all in use, and still the others get places, until each has an equal share."""
    on = bench()
    await ask(on, "greedy", "g1", "g2", "g3", "g4")
    await ask(on, "other", "o1", "o2")
    assert held(on) >= {"o1", "o2"}
    assert len(held(on)) == PLACES


async def test_two_callers_with_equal_shares_do_not_push_each_other_out() -> None:
    """Each has to wait, and may ask for what it has."""
    on = bench()
    await ask(on, "a", "a1", "a2")
    await ask(on, "b", "b1", "b2")
    for caller in ("a", "b"):
        with pytest.raises(LimitExceeded) as caught:
            await ask(on, caller, f"{caller}3")
        assert caught.value.retry_after == IDLE
    await ask(on, "a", "a1", "a2")
    assert held(on) == {"a1", "a2", "b1", "b2"}


async def test_a_place_that_was_not_used_for_a_while_is_free_for_any_caller() -> None:
    """Its token stays in the store: the next caller has it without a mint."""
    on = bench()
    await ask(on, "a", "a1", "a2", "a3", "a4")
    on.clock.advance(IDLE)
    await ask(on, "a", "a2", "a3", "a4", "a5")
    assert held(on) == {"a2", "a3", "a4", "a5"}
    mints = on.issuer.mints
    on.clock.advance(IDLE)
    await ask(on, "a", "a1")
    assert on.issuer.mints == mints


async def test_what_is_watched_or_kept_warm_keeps_its_place() -> None:
    """No caller asks for it, and it is in use all the same."""
    on = bench()
    async with asyncio.timeout(PATIENCE):
        watch = on.broker.watch(key("watched"), PATIENCE, caller="a")
        await anext(watch)
        await ask(on, "a", "a1", "a2", "a3")
        on.clock.advance(IDLE)
        await ask(on, "a", "a4", "a5", "a6")
        assert "watched" in held(on)
        await watch.aclose()

    warm = bench(keep_warm=True)
    await ask(warm, "a", "a1", "a2", "a3", "a4")
    warm.clock.advance(IDLE)
    with pytest.raises(LimitExceeded):
        await ask(warm, "a", "a5")


async def test_a_token_that_only_this_process_has_keeps_its_place() -> None:
    """It was minted while the store was out of reach; to drop it would waste it."""
    on = bench()
    on.store.down = ALL
    await ask(on, "a", "a1", "a2", "a3", "a4")
    on.clock.advance(IDLE)
    with pytest.raises(LimitExceeded):
        await ask(on, "b", "b1")


async def test_a_key_that_is_being_minted_keeps_its_place() -> None:
    """Otherwise the flight would bring its token to an entry that is gone."""
    on = bench()
    on.issuer.gate.clear()
    asking = [asyncio.create_task(ask(on, "a", scope)) for scope in ("a1", "a2", "a3", "a4")]
    await wait_until(lambda: len(on.broker._flights._tasks) == PLACES)
    with pytest.raises(LimitExceeded):
        await ask(on, "b", "b1")
    on.issuer.gate.set()
    await asyncio.gather(*asking)
    assert held(on) == {"a1", "a2", "a3", "a4"}


async def test_the_clients_do_not_share_places() -> None:
    """Each has its own number."""
    places = Places(1)
    for client in ("one", "two"):
        assert not places.is_full(client)
        entry = places.add(Entry(key("s", client), client, CLIENT, 0.0), "caller")
        assert places.is_full(client)
        places.remove(entry)
        assert not places._clients


def test_a_full_table_is_not_searched_for_each_new_key() -> None:
    """A few entries are looked at; each search goes on behind the last one."""
    places, looked = Places(1000), Counter[Entry]()
    for number in range(1000):
        places.add(Entry(key(f"s{number}"), str(number), CLIENT, 0.0), "a")

    def never(entry: Entry) -> bool:
        looked[entry] += 1
        return False

    for _ in range(10):
        assert places.replaceable(KEY.client, "b", never, lambda _: False) is None
    assert looked.total() == 10 * LOOKED_AT
    assert set(looked.values()) == {1}


async def test_the_schedule_stays_small_while_keys_come_and_go() -> None:
    """A token that lives a day would else hold its key's place in the heap for a day."""
    schedule = Schedule(ManualClock(), random.Random(7))
    for number in range(5000):
        schedule.at(key(f"s{number}"), 86_400.0)
        schedule.cancel(key(f"s{number}"))
        schedule.at(key("moved"), 86_400.0 + number)
    assert len(schedule._heap) <= STALE + 3
    assert len(schedule._due) == 1
