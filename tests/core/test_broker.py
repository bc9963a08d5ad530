"""The broker: one flight a key, deadlines, and what comes back when nothing better can be had."""

import asyncio
import random

import pytest

from mintonce_server.core import events
from mintonce_server.core.errors import (
    IssuerRefused,
    IssuerUnavailable,
    PermissionDenied,
    StoreUnavailable,
    UnknownClient,
    WaitTimedOut,
)
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Origin
from support.clocks import ManualClock
from support.samples import KEY, named
from support.scripted_issuer import refused, unavailable
from support.troubled_store import ALL
from support.workbench import PATIENCE, Workbench, a_moment


async def test_a_caller_that_hangs_up_does_not_cancel_the_mint() -> None:
    """The others, and the next ones, get what was begun for it."""
    bench = Workbench()
    bench.issuer.gate.clear()
    first, second = bench.asking(), bench.asking()
    await bench.issuer.asked.wait()
    first.cancel()
    await asyncio.wait([first])
    bench.issuer.gate.set()
    assert (await second).origin is Origin.MINT
    assert bench.issuer.mints == 1


async def test_the_mint_goes_on_when_every_caller_has_hung_up() -> None:
    """It is paid for: the next caller finds its token in memory."""
    bench = Workbench()
    bench.issuer.gate.clear()
    caller = bench.asking()
    await bench.issuer.asked.wait()
    caller.cancel()
    await asyncio.wait([caller])
    bench.issuer.gate.set()
    await a_moment()
    assert (await bench.get()).origin is Origin.MEMORY
    assert bench.issuer.mints == 1


async def test_a_deadline_ends_the_wait_and_not_the_mint() -> None:
    """WaitTimedOut says when to call again; the token is there then. Over HTTP nobody can send a longer deadline."""
    bench = Workbench()
    bench.issuer.gate.clear()
    with pytest.raises(WaitTimedOut) as caught:
        await bench.get(deadline=0.01)
    assert caught.value.retry_after == 1.0
    assert caught.value.remedy.startswith("Call again: the next call gets what the mint brings.")
    bench.issuer.gate.set()
    await a_moment()
    assert (await bench.get()).origin is Origin.MEMORY
    assert bench.issuer.mints == 1


async def test_a_deadline_that_comes_first_brings_the_live_token_marked() -> None:
    """Better a token with a little life left than none."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.clock.advance(old.remaining(bench.clock.monotonic()) - 10.0)
    bench.issuer.gate.clear()
    served = await bench.get(deadline=0.01)
    assert (served.token, served.degraded) == (old, True)
    bench.issuer.gate.set()
    await a_moment()
    assert (await bench.get()).token.generation > old.generation


async def test_live_tokens_are_served_to_their_true_end_while_the_issuer_is_down() -> None:
    """Marked, once less is left than is comfortable; an error, once nothing is."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.issuer.fails = unavailable
    bench.clock.advance(old.lifetime - 0.5)
    served = await bench.get()
    assert (named(served.token), served.degraded) == (named(old), True)
    bench.clock.advance(1.0)
    with pytest.raises(Exception, match=r"in trouble|last mint of this key failed"):
        await bench.get()


async def test_a_token_with_less_left_than_the_caller_can_use_counts_as_none() -> None:
    """It waits for the next one like a caller without any."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.clock.advance(old.lifetime - 1.5)
    bench.issuer.gate.clear()
    assert (await bench.get(patience=0.0, least=1.0)).token == old
    waiting = asyncio.create_task(bench.get(patience=0.0, least=2.0))
    await bench.issuer.asked.wait()
    bench.issuer.gate.set()
    assert (await waiting).origin is Origin.MINT


async def test_who_cannot_use_the_live_token_learns_why_there_is_no_other() -> None:
    """What the mint failed with; callers that can use it go on."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.clock.advance(old.lifetime - 1.5)
    bench.issuer.fails = unavailable
    for _ in range(2):
        with pytest.raises(IssuerUnavailable):
            await bench.get(least=2.0)
        assert (await bench.get()).token == old


async def test_a_minted_token_that_a_caller_cannot_use_is_an_error() -> None:
    """An issuer whose tokens live a second, for example."""
    bench = Workbench()
    with pytest.raises(WaitTimedOut) as caught:
        await bench.get(least=10.0**6)
    assert caught.value.retry_after == 1.0


async def test_who_wants_more_life_than_can_be_had_gets_the_best_there_is_marked() -> None:
    """min_ttl is a wish."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.issuer.fails = refused
    bench.clock.advance(2400.0)
    assert not (await bench.get()).degraded
    served = await bench.get(min_ttl=1500.0)
    assert (named(served.token), served.degraded) == (named(old), True)


async def test_who_wants_more_life_gets_a_successor_that_all_share() -> None:
    """A thousand callers with the same wish cost one mint."""
    bench = Workbench()
    await bench.get()
    bench.clock.advance(2400.0)
    # A second of patience is short for a thousand on a busy machine.
    answers = await asyncio.gather(*(bench.get(min_ttl=1500.0, patience=PATIENCE) for _ in range(1000)))
    assert len({served.token.generation for served in answers}) == 1
    assert bench.issuer.mints == 2
    assert (await bench.get()).token == answers[0].token


async def test_a_wish_for_more_than_half_a_life_is_read_as_half() -> None:
    """Otherwise each call would mint."""
    bench = Workbench()
    await bench.get()
    bench.clock.advance(1700.0)
    await bench.get(min_ttl=1e9)
    assert bench.issuer.mints == 1
    bench.clock.advance(200.0)
    await bench.get(min_ttl=1e9)
    assert bench.issuer.mints == 2


async def test_a_failure_is_shared_by_all_who_wait_for_it() -> None:
    """And by all who come while its back-off lasts."""
    bench = Workbench()
    bench.issuer.fails = refused
    answers = await asyncio.gather(*(bench.get() for _ in range(100)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {IssuerRefused}
    with pytest.raises(IssuerRefused) as caught:
        await bench.get()
    assert (caught.value.retry_after, caught.value.issuer_error) == (30.0, "invalid_client")
    assert bench.issuer.mints == 1
    bench.issuer.fails = None
    bench.clock.advance(30.1)
    assert (await bench.get()).origin is Origin.MINT


async def test_a_name_that_is_not_registered_leaves_no_trace() -> None:
    """A caller that guesses names neither mints nor fills the memory."""
    bench = Workbench()
    for client in ("unknown", "root"):
        key = TokenKey.of(client, "https://api.example.com/")
        with pytest.raises((UnknownClient, PermissionDenied)):
            await bench.get(key)
        assert bench.entry(key) is None
    assert bench.store.calls.total() == 0


async def test_a_mint_in_the_outage_is_served_from_memory_and_marked() -> None:
    """One flight mints for all callers of this replica; the token stays marked until the store has it."""
    bench = Workbench()
    bench.store.down = ALL
    answers = await asyncio.gather(*(bench.get() for _ in range(100)))
    assert {served.token for served in answers} == {answers[0].token}
    assert answers[0].degraded
    assert (await bench.get()).degraded
    bench.store.down = frozenset()
    await bench.catch_up()
    assert not (await bench.get()).degraded
    assert bench.issuer.mints == 1


async def test_mints_without_the_store_are_few_a_second() -> None:
    """For all keys together: 20 at once, then one a second. The rest must wait."""
    bench = Workbench()
    bench.store.down = ALL
    keys = [TokenKey.of(KEY.client, f"https://api-{n}.example.com/") for n in range(30)]
    answers = await asyncio.gather(*(bench.get(key) for key in keys), return_exceptions=True)
    assert sum(isinstance(answer, StoreUnavailable) for answer in answers) == 10
    assert bench.issuer.mints == 20
    bench.clock.advance(3.0)
    await asyncio.gather(*(bench.get(key) for key in keys), return_exceptions=True)
    assert bench.issuer.mints == 23


async def test_no_caller_takes_all_mints_without_the_store() -> None:
    """A caller that asks for many keys in an outage leaves enough for another one's key."""
    bench = Workbench()
    bench.store.down = ALL
    many = [TokenKey.of(KEY.client, f"https://api-{n}.example.com/") for n in range(30)]
    asked = (bench.broker.get(key, 0.0, 5.0, caller="key:greedy") for key in many)
    await asyncio.gather(*asked, return_exceptions=True)

    served = await bench.broker.get(KEY, 0.0, 5.0, caller="key:modest")

    assert served.degraded


async def test_a_failed_mint_in_the_outage_is_not_tried_again_before_its_time() -> None:
    """The negative record is then the replica's own."""
    bench = Workbench()
    bench.store.down, bench.issuer.fails = ALL, refused
    for _ in range(5):
        with pytest.raises(IssuerRefused):
            await bench.get()
    assert bench.issuer.mints == 1
    bench.clock.advance(30.1)
    with pytest.raises(IssuerRefused):
        await bench.get()
    assert bench.issuer.mints == 2


async def test_a_token_minted_in_the_outage_is_kept_whatever_the_clocks_say() -> None:
    """The store's clock may be far ahead of this host's: memory must take the token all the same."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.clock.advance(old.lifetime + 1.0)
    behind = ManualClock(bench.clock.monotonic(), unix=1_000_000.0)
    bench.broker._fetcher._outage_minter._clock = behind
    bench.store.down = ALL
    alone = (await bench.get()).token
    assert alone.generation > old.generation
    assert (await bench.get()).token == alone
    assert bench.issuer.mints == 2


async def test_an_event_says_that_the_replica_goes_on_alone() -> None:
    """So that an operator sees it in the log."""
    bench = Workbench()
    bench.store.down = ALL
    await bench.get()
    assert [event.minting for event in bench.events(events.StoreFailed)] == [True]


async def test_replicas_that_mint_alone_give_no_generation_twice() -> None:
    """At the same millisecond: a generation is one token's, also when both come back to the store."""
    bench = Workbench()
    replicas = [bench, *(bench.replica() for _ in range(3))]
    bench.store.down = ALL
    for seed, replica in enumerate(replicas):
        replica.broker._fetcher._outage_minter._rng = random.Random(seed)
    tokens = [(await replica.get()).token for replica in replicas]
    assert len({each.generation for each in tokens}) == 4
