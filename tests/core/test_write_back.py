"""The store lost what the fleet holds, or never got it: replicas give live tokens back instead of minting."""

import asyncio

import pytest

from mintonce_server.core import events
from mintonce_server.core.errors import Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Backoff, Failure, Refusal, WakeKind
from mintonce_server.core.reconcile import RESTORED_AT_ONCE
from mintonce_server.core.token import Origin, Token
from support.samples import KEY, acquire_request, lease_of, load_all, minted, named
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import OPTIONS, Workbench

BOUND = OPTIONS.revalidate_within


async def stored(bench: Workbench, key: TokenKey = KEY) -> Token | None:
    (token,) = await load_all(bench.store, [key])
    return token


async def test_after_a_gap_an_emptied_store_gets_its_tokens_back() -> None:
    """The same text under the same generation, for the rest of its life: zero mints."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.lose(KEY)
    async with bench.upkeep():  # it begins with a GAP
        await wait_until(lambda: bench.events(events.Restored))
    assert named(await stored(bench)) == named(token)
    newcomer = await bench.replica().get()
    assert (named(newcomer.token), newcomer.origin) == (named(token), Origin.STORE)
    assert bench.issuer.mints == 1


async def test_a_store_emptied_unnoticed_gets_an_idle_key_s_token_back_with_the_next_call() -> None:
    """FLUSHALL breaks no connection, so no gap says it: the age does, and the caller gets the old token unmarked."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.lose(KEY)
    bench.clock.advance(BOUND + 0.1)
    served = await bench.get()
    assert (served.token, served.origin, served.degraded) == (token, Origin.MEMORY, False)
    assert named(await stored(bench)) == named(token)
    assert bench.issuer.mints == 1


async def test_one_lost_token_makes_all_suspect() -> None:
    """FLUSHALL is found out by the first key that a caller asks for; idle ones come back then, too."""
    bench = Workbench()
    idle = TokenKey.of(KEY.client, "https://idle.example.com/")
    token = (await bench.get(idle)).token
    await bench.get()
    async with bench.upkeep():
        await wait_until(lambda: bench.store.calls["generations"])  # the GAP at the start
        bench.clock.advance(BOUND + 0.1)
        bench.store.lose(KEY)
        bench.store.lose(idle)
        await bench.get()
        await wait_until(lambda: len(bench.events(events.Restored)) == 2)
    assert named(await stored(bench, idle)) == named(token)
    assert bench.issuer.mints == 2


async def test_all_tokens_come_back_a_few_at_a_time() -> None:
    """A store that has just come up is not met by thousands of commands at once."""
    bench = Workbench()
    keys = [TokenKey.of(KEY.client, KEY.audience, [f"scope-{n}"]) for n in range(3 * RESTORED_AT_ONCE + 1)]
    tokens = [(await bench.get(key)).token for key in keys]
    for key in keys:
        bench.store.lose(key)
    await bench.catch_up()
    assert [named(one) for one in await load_all(bench.store, keys)] == [named(one) for one in tokens]
    assert bench.store.most_restoring == RESTORED_AT_ONCE
    assert bench.issuer.mints == len(keys)


async def test_two_replicas_that_give_back_at_once_make_one_record() -> None:
    """The second one finds the first one's: the same generation, told to the fleet once."""
    bench = Workbench()
    other = bench.replica()
    token = (await bench.get()).token
    await other.get()
    bench.store.lose(KEY)
    bench.store.published.clear()
    bench.store.calls.clear()
    await asyncio.gather(bench.catch_up(), other.catch_up())
    assert bench.store.calls["restore"] == 2
    assert [(wake.kind, wake.generation) for wake in bench.store.published] == [(WakeKind.COMMIT, token.generation)]
    assert named(await stored(bench)) == named(token)
    assert bench.issuer.mints == 1


async def test_who_finds_a_newer_one_takes_it() -> None:
    """Another replica gave back the successor first: older ones do not replace it."""
    bench = Workbench()
    other = bench.replica()
    old = (await bench.get()).token
    bench.store.silent = True
    new = await bench.store.commit(
        await lease_of(bench.store, newer_than=old.generation), minted(bench.clock, lifetime=3600.0)
    )
    assert isinstance(new, Token)
    assert named((await other.get()).token) == named(new)
    bench.store.lose(KEY)
    await asyncio.gather(bench.catch_up(), other.catch_up())
    assert named(await stored(bench)) == named(new)
    await bench.catch_up()
    assert named((await bench.get()).token) == named(new)
    assert bench.issuer.mints == 1


async def test_a_rejected_token_is_not_given_back_while_the_store_remembers() -> None:
    """The store says so, and the replica forgets the token."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.silent = True
    await bench.store.reject(KEY, token.generation, 30.0)
    await bench.catch_up()
    assert await stored(bench) is None
    entry = bench.entry()
    assert entry
    assert (entry.token, entry.rejected_through) == (None, token.generation)
    assert not bench.events(events.Restored)


async def test_a_rejection_that_the_store_lost_is_said_again_by_a_replica_that_remembers() -> None:
    """One that had not heard of it gives the token back; one that had takes it away from all."""
    bench = Workbench()
    asleep = bench.replica()
    token = (await bench.get()).token
    await asleep.get()
    await bench.broker.reject(KEY, token.generation)
    bench.store.lose(KEY)
    await asleep.catch_up()
    assert named(await stored(bench)) == named(token)
    async with asleep.upkeep():
        await bench.catch_up()
        await wait_until(lambda: asleep.broker.peek(KEY) is None)
    assert await stored(bench) is None
    assert (await bench.get()).token.generation > token.generation


async def test_a_failover_that_lost_a_rejection_does_not_serve_the_rejected_token() -> None:
    """Any replica that heard of it rejects it again, as soon as it looks."""
    bench = Workbench()
    token = (await bench.get()).token
    behind = bench.store.copy(KEY)
    await bench.broker.reject(KEY, token.generation)
    bench.store.fail_over(KEY, behind)
    assert named(await stored(bench)) == named(token)
    await bench.catch_up()
    assert await stored(bench) is None
    assert [event.generation for event in bench.events(events.BarrierRaised)] == [token.generation]
    newcomer = (await bench.replica().get()).token
    assert newcomer.generation > token.generation
    assert bench.issuer.mints == 2


async def test_a_failover_that_lost_a_commit_gets_the_successor_back() -> None:
    """The store went back to the older one: the newer one, paid for, takes its place again."""
    bench = Workbench()
    old = (await bench.get()).token
    behind = bench.store.copy(KEY)
    bench.clock.advance(old.refresh_at - bench.clock.monotonic())
    await bench.refresh()
    new = (await bench.get()).token
    assert new.generation > old.generation
    bench.store.fail_over(KEY, behind)
    await bench.catch_up()
    assert named(await stored(bench)) == named(new)
    assert bench.issuer.mints == 2


async def test_a_token_minted_alone_reaches_the_store_when_it_is_back() -> None:
    """And the other replicas by it: the outage costs no mint more than it did."""
    bench = Workbench()
    bench.store.down = ALL
    token = (await bench.get()).token
    bench.store.down = frozenset()
    await bench.catch_up()
    kept = await stored(bench)
    assert kept is not None
    assert (kept.access_token, kept.served_as) == (token.access_token, token.generation)
    assert kept.generation > token.generation
    assert not kept.provisional
    assert named((await bench.get()).token) == named(kept)
    assert named((await bench.replica().get()).token) == named(kept)
    assert bench.issuer.mints == 1


async def test_a_token_whose_commit_failed_reaches_the_store_when_it_is_back() -> None:
    """By reconciling alone, without a caller."""
    bench = Workbench()
    bench.store.down = ALL - {"acquire"}
    token = (await bench.get()).token
    bench.store.down = frozenset()
    async with bench.upkeep():
        await wait_until(lambda: bench.events(events.Restored))
    assert named(await stored(bench)) == named(token)
    served = await bench.get()
    assert (served.token, served.degraded) == (token, False)
    assert bench.issuer.mints == 1


async def test_a_token_whose_commit_failed_is_given_by_the_next_caller() -> None:
    """Who asks while the store's answer is missing brings it there before anything is minted."""
    bench = Workbench()
    bench.store.down = frozenset({"commit"})
    token = (await bench.get()).token
    bench.store.down = frozenset()
    served = await bench.get()
    assert (served.token, served.degraded) == (token, False)
    assert named(await stored(bench)) == named(token)
    assert bench.issuer.mints == 1


async def test_of_two_tokens_minted_alone_one_is_kept_by_all() -> None:
    """Each replica minted in the outage; afterwards the fleet has one again, and nothing was minted for it."""
    bench = Workbench()
    other = bench.replica()
    bench.store.down = ALL
    alone = [(await replica.get()).token for replica in (bench, other)]
    bench.store.down = frozenset()
    await bench.catch_up()
    await other.catch_up()
    await bench.catch_up()
    kept = await stored(bench)
    assert kept is not None
    assert kept.access_token in [token.access_token for token in alone]
    assert named((await bench.get()).token) == named((await other.get()).token) == named(kept)
    assert bench.issuer.mints == 2


async def test_giving_back_ends_no_back_off() -> None:
    """An old token says nothing about whether the issuer is well again."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.lose(KEY)
    await bench.store.fail(await lease_of(bench.store), Failure(Reason.ISSUER_THROTTLED), 30.0)
    await bench.catch_up()
    answer = await bench.store.acquire(KEY, acquire_request(newer_than=token.generation))
    assert isinstance(answer, Backoff)
    assert named(answer.token) == named(token)


async def test_too_short_a_token_is_never_given() -> None:
    """It would be over before anybody had it from there."""
    bench = Workbench()
    bench.issuer.lifetime = 0.9
    await bench.get()
    await bench.catch_up()
    await bench.get()
    assert bench.store.calls["restore"] == 0
    assert await stored(bench) is None


async def test_the_last_second_of_a_token_is_not_given_back() -> None:
    """Nor is a good one that has become short."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.lose(KEY)
    bench.clock.advance(token.lifetime - 1.0)
    await bench.catch_up()
    assert bench.store.calls["restore"] == 0


async def test_a_rejected_token_of_replaced_credentials_is_served_no_more() -> None:
    """Its replica missed the rejection, and other replicas have newer credentials by now."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.silent = True
    await bench.store.reject(KEY, token.generation, 30.0)
    await bench.store.acquire(KEY, acquire_request("newer", cv=2))
    bench.clock.advance(BOUND + 0.1)
    assert named((await bench.get()).token) != named(token)
    assert bench.issuer.mints == 2


async def test_a_token_of_replaced_credentials_goes_on_where_it_is() -> None:
    """The fleet has newer ones; this replica's is live all the same, and no revalidation mints another."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.lose(KEY)
    await bench.store.acquire(KEY, acquire_request("newer", cv=2))
    bench.clock.advance(3.1)  # that replica went away without minting
    assert await bench.store.restore(token) is Refusal.OLD_CREDENTIALS
    for _ in range(5):
        bench.clock.advance(BOUND + 0.1)
        served = await bench.get()
        assert (served.token, served.degraded) == (token, False)
        assert bench.broker.peek(KEY)
    assert await stored(bench) is None
    assert bench.issuer.mints == 1


async def test_a_token_minted_alone_with_replaced_credentials_goes_on_where_it_is() -> None:
    """The store gives it no number; it is offered once in each interval, and not at each call."""
    bench = Workbench()
    bench.store.down = ALL
    token = (await bench.get()).token
    bench.store.down = frozenset()
    await bench.store.acquire(KEY, acquire_request("newer", cv=2))
    bench.clock.advance(BOUND + 0.1)  # it went away without minting
    await bench.get()
    assert bench.store.calls["restore"] == 1
    for _ in range(5):
        served = await bench.get()
        assert (served.token, served.degraded) == (token, False)
    assert bench.store.calls["restore"] == 1
    assert bench.issuer.mints == 1


@pytest.mark.parametrize("method", ["restore", "load"])
async def test_what_an_outage_interrupts_while_giving_back_is_done_after(method: str) -> None:
    """Nothing is lost but time."""
    bench = Workbench()
    keys = [TokenKey.of(KEY.client, KEY.audience, [f"scope-{n}"]) for n in range(3)]
    tokens = [(await bench.get(key)).token for key in keys]
    newer = await bench.store.commit(
        await lease_of(bench.store, keys[0], newer_than=tokens[0].generation), minted(bench.clock, lifetime=3600.0)
    )
    assert isinstance(newer, Token)
    bench.store.lose(keys[1])
    bench.store.lose(keys[2])
    bench.store.down = frozenset({method})
    await bench.catch_up()
    bench.store.down = frozenset()
    await bench.broker._reconciler._ask()
    assert [named(one) for one in await load_all(bench.store, keys)] == [named(one) for one in (newer, *tokens[1:])]
    entry = bench.entry(keys[0])
    assert entry
    assert named(entry.token) == named(newer)
    assert bench.issuer.mints == 3
