"""One look at all keys of a replica: how each stands, what ends first, and what the page leaves out."""

import asyncio

import pytest

from mintonce_server.core.errors import IssuerError
from mintonce_server.core.key import TokenKey
from mintonce_server.core.key_survey import AT_ONCE, OVERDUE, Survey
from mintonce_server.core.status import MOST_KEYS, KeyFilter, KeyRow, State
from mintonce_server.observability.recent import Recent
from support.samples import KEY
from support.scripted_issuer import refused
from support.troubled_store import ALL
from support.workbench import Workbench, a_moment


def other(number: int) -> TokenKey:
    return TokenKey.of(KEY.client, f"https://api-{number}.example.com/", ["read"] if number % 2 else [])


async def look(bench: Workbench, wanted: KeyFilter | None = None, hidden: TokenKey | None = None) -> Survey:
    """What the page would be told, with the failures that this replica remembers."""
    recent = Recent(bench.clock, {KEY.client: "acme"})
    for event in bench.happened:
        recent(event)
    return await bench.broker.survey(recent.failures, wanted or KeyFilter(), lambda key: key != hidden)


async def row(bench: Workbench) -> KeyRow:
    (only,) = (await look(bench)).keys.rows
    return only


async def test_a_live_token_that_nobody_uses_is_not_refreshed() -> None:
    """One POST, one caller: it ends, and that is all."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(60.0)
    found = await row(bench)
    assert (found.state, found.generation) == (State.LIVE, token.generation)
    assert found.ends_in == pytest.approx(3540.0)
    assert (found.refresh_in, found.asked_ago, found.watchers) == (None, 60.0, 0)
    assert (found.client, found.audience, found.scopes) == (KEY.client, KEY.audience, KEY.scopes)


async def test_a_token_in_use_says_when_its_refresh_comes() -> None:
    """As the refresher has it."""
    bench = Workbench()
    token = (await bench.get()).token
    await bench.get()
    found = await look(bench)
    assert found.keys.rows[0].refresh_in == pytest.approx(token.refresh_at - bench.clock.monotonic())
    assert found.keys.refreshes_in == (found.keys.rows[0].refresh_in,)


async def test_a_refresh_that_has_not_begun_in_time_is_due() -> None:
    """This process is behind: no failure, and yet no successor."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(token.refresh_at - bench.clock.monotonic() - 1.0)
    await bench.get()
    assert (await row(bench)).state is State.LIVE
    bench.clock.advance(OVERDUE + 2.0)
    assert (await row(bench)).state is State.DUE


async def test_a_refresh_that_fails_leaves_a_live_token_in_back_off() -> None:
    """With the reason, and when the next try comes."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(token.refresh_at - bench.clock.monotonic() + 1.0)
    bench.issuer.fails = refused
    await bench.refresh()
    found = await row(bench)
    assert (found.state, found.failure) == (State.BACK_OFF, "ISSUER_REFUSED invalid_client")
    assert found.retry_in == pytest.approx(30.0)
    bench.issuer.fails = None
    bench.clock.advance(31.0)
    await bench.refresh()
    assert (await row(bench)).state is State.LIVE


async def test_a_first_mint_that_fails_leaves_a_failing_key() -> None:
    """Until nobody has asked for it for a while: then it is idle."""
    bench = Workbench()
    bench.issuer.fails = refused
    with pytest.raises(IssuerError):
        await bench.get()
    found = await row(bench)
    assert (found.state, found.ends_in, found.generation) == (State.FAILING, None, 0)
    bench.clock.advance(301.0)
    assert (await row(bench)).state is State.IDLE


async def test_a_mint_under_way_is_waiting_or_refreshing() -> None:
    """By whether there is a live token meanwhile."""
    bench = Workbench()
    bench.issuer.gate.clear()
    caller = bench.asking()
    await bench.issuer.asked.wait()
    assert (await row(bench)).state is State.WAITING
    bench.issuer.gate.set()
    token = (await caller).token
    bench.clock.advance(token.refresh_at - bench.clock.monotonic() + 1.0)
    bench.issuer.gate.clear()
    bench.issuer.asked.clear()
    refresh = asyncio.create_task(bench.refresh())
    await bench.issuer.asked.wait()
    assert (await row(bench)).state is State.REFRESHING
    bench.issuer.gate.set()
    await refresh


async def test_a_rejected_token_leaves_a_rejected_key() -> None:
    """Until somebody wants another token."""
    bench = Workbench()
    token = (await bench.get()).token
    await bench.broker.reject(KEY, token.generation)
    assert (await row(bench)).state is State.REJECTED
    bench.clock.advance(60.0)
    await bench.get()
    assert (await row(bench)).state is State.LIVE


async def test_a_token_minted_without_the_store_is_degraded() -> None:
    """The others do not know of it."""
    bench = Workbench()
    bench.store.down = ALL
    await bench.get()
    assert (await row(bench)).state is State.DEGRADED


async def test_trouble_comes_first_and_then_what_ends_first() -> None:
    """What needs a person is at the top, however many keys there are."""
    bench = Workbench()
    for number in range(3):
        bench.issuer.lifetime = 3000.0 - 1000.0 * number
        await bench.get(other(number))
    bench.issuer.fails = refused
    with pytest.raises(IssuerError):
        await bench.get(other(3))
    found = await look(bench)
    assert [each.audience for each in found.keys.rows] == [other(number).audience for number in (3, 2, 1, 0)]
    assert found.keys.by_life == (0, 0, 3, 0, 0, 0)
    assert found.keys.by_state == {State.FAILING: 1, State.LIVE: 3}
    assert found.clients[KEY.client].soonest_end_in == pytest.approx(1000.0)
    assert (found.clients[KEY.client].keys, found.clients[KEY.client].live) == (4, 3)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (KeyFilter(find="API-1"), [1]),
        (KeyFilter(find="read"), [1, 3]),
        (KeyFilter(state="live"), [0, 1, 2, 3]),
        (KeyFilter(state="failing"), []),
        (KeyFilter(client="another"), []),
        (KeyFilter(client=KEY.client, find="api-3"), [3]),
    ],
)
async def test_a_filter_chooses_rows_and_leaves_the_sums(wanted: KeyFilter, numbers: list[int]) -> None:
    """By client, state, and a part of audience, scope or hash."""
    bench = Workbench()
    for number in range(4):
        await bench.get(other(number))
    found = (await look(bench, wanted)).keys
    assert sorted(each.audience for each in found.rows) == [other(number).audience for number in numbers]
    assert (found.matched, found.total, sum(found.by_life)) == (len(numbers), 4, 4)


async def test_what_the_reader_may_not_see_is_not_even_counted() -> None:
    """As in a list of tokens."""
    bench = Workbench()
    await bench.get(other(0))
    await bench.get(other(1))
    found = await look(bench, hidden=other(1))
    assert [each.audience for each in found.keys.rows] == [other(0).audience]
    assert (found.keys.total, found.clients[KEY.client].keys, sum(found.keys.by_life)) == (1, 1, 1)


async def test_many_keys_give_few_rows_and_hold_nobody_up() -> None:
    """Other tasks get their turn every few hundred keys."""
    bench = Workbench()
    for number in range(2 * AT_ONCE + MOST_KEYS):
        bench.broker._cache.entry(other(number))
    turns = 0

    async def someone_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(someone_else())
    found = await look(bench)
    task.cancel()
    assert (len(found.keys.rows), found.keys.matched) == (MOST_KEYS, 2 * AT_ONCE + MOST_KEYS)
    assert turns >= 2
    await a_moment()
