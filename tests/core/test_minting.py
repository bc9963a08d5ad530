"""From acquire to commit: what a flight does at every turn that the store or the issuer may take."""

import asyncio

import pytest

from mintonce_server.core import events, mint
from mintonce_server.core.errors import IssuerRefused, IssuerThrottled
from mintonce_server.core.ports import Lease, Refusal
from mintonce_server.core.token import REFRESH_SHARE, Origin, Token
from support import samples
from support.samples import KEY, acquire_request, lease_of, named
from support.scripted_issuer import refused, throttled
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import Workbench, a_moment


async def test_a_lease_that_lapsed_before_the_post_is_not_used() -> None:
    """The process was stopped in between: another replica may be minting, so it asks again first."""
    bench = Workbench()
    bench.store.after["acquire"] = lambda: bench.clock.advance(3.5)
    served = await bench.get()
    (lost,) = bench.events(events.LeaseLost)
    assert served.token.generation > lost.generation
    assert bench.issuer.mints == 1


async def test_a_stalled_holder_takes_the_token_that_another_minted_meanwhile() -> None:
    """Its own commit is stale: it serves the newer one, and mints no third."""
    bench = Workbench()
    other = bench.replica(own_issuer=True)
    bench.issuer.gate.clear()
    stalled = bench.asking()
    await bench.issuer.asked.wait()
    bench.clock.advance(3.5)  # its lease lapses
    newer = (await other.get()).token
    bench.issuer.gate.set()
    assert named((await stalled).token) == named(newer)
    assert [event.refusal for event in bench.events(events.CommitRefused)] == [Refusal.STALE]
    assert (bench.issuer.mints, other.issuer.mints) == (1, 1)


async def test_a_token_that_was_rejected_before_its_commit_is_minted_again() -> None:
    """The rejection covers mints under way: at most one more."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.clock.advance(old.refresh_at - bench.clock.monotonic())
    bench.issuer.gate.clear()
    bench.issuer.asked.clear()
    refreshing = asyncio.create_task(bench.refresh())
    await bench.issuer.asked.wait()
    in_flight = bench.store.server.entries[old.key_hash].meta.f
    await bench.broker.reject(KEY, old.generation)
    bench.issuer.gate.set()
    await refreshing
    (refusal,) = bench.events(events.CommitRefused)
    assert (refusal.generation, refusal.refusal) == (in_flight, Refusal.REJECTED)
    assert (await bench.get()).token.generation > in_flight
    assert bench.issuer.mints == 3


async def test_no_generation_is_posted_twice_even_if_the_store_forgets_its_refusal() -> None:
    """The commit was refused, and a failover brought back the lease that it had ended: that POST is spent."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.clock.advance(old.refresh_at - bench.clock.monotonic())
    bench.issuer.gate.clear()
    bench.issuer.asked.clear()
    refreshing = asyncio.create_task(bench.refresh())
    await bench.issuer.asked.wait()
    behind = bench.store.copy(KEY)
    await bench.broker.reject(KEY, old.generation)
    bench.store.after["commit"] = lambda: bench.store.fail_over(KEY, behind)
    bench.issuer.gate.set()
    await wait_until(lambda: bench.events(events.CommitRefused))
    await a_moment()
    bench.clock.advance(3.5)  # the lease that came back lapses
    await refreshing
    posted = [event.generation for event in bench.events(events.MintStarted)]
    assert len(posted) == len(set(posted)) == 3


async def test_old_credentials_do_not_mint_in_a_loop() -> None:
    """The token is live, so it is served; a replica with newer credentials brings the one that counts."""
    bench = Workbench()
    newer = bench.replica(credential_version=2)
    bench.issuer.gate.clear()
    caller = bench.asking()
    await bench.issuer.asked.wait()
    bench.clock.advance(3.5)
    bench.issuer.asked.clear()
    ahead = newer.asking()
    await bench.issuer.asked.wait()
    bench.issuer.gate.set()
    served = await caller
    await ahead
    assert [event.refusal for event in bench.events(events.CommitRefused)] == [Refusal.OLD_CREDENTIALS]
    assert served.degraded
    await bench.get()
    assert bench.issuer.mints == 2
    due = bench.due_at()
    assert due is not None
    # Not before the window: where in it, the names of key and generation say.
    assert due >= served.token.expires_at - REFRESH_SHARE * served.token.lifetime


async def test_a_refused_refresh_with_old_credentials_waits_for_the_next_one() -> None:
    """Not five seconds, but until the token it did get is due."""
    bench = Workbench()
    token = (await bench.get()).token
    await bench.store.acquire(
        KEY, acquire_request(cv=2, newer_than=token.generation)
    )  # a replica with a new secret begins
    bench.clock.advance(token.refresh_at - bench.clock.monotonic())
    for _ in range(20):
        await bench.refresh()
        bench.clock.advance(5.0)
    assert bench.issuer.mints == 2


async def test_a_token_too_short_to_share_is_given_to_those_who_wait_and_not_stored() -> None:
    """And the next second brings no second POST."""
    bench = Workbench()
    bench.issuer.lifetime = 0.5
    answers = await asyncio.gather(*(bench.get() for _ in range(20)))
    assert {served.token for served in answers} == {answers[0].token}
    assert await bench.store.load([KEY]) == [None]
    bench.clock.advance(0.95)
    late = bench.asking()
    await a_moment()
    assert bench.issuer.mints == 1
    bench.clock.advance(0.1)
    assert (await late).token.generation > answers[0].token.generation
    assert bench.issuer.mints == 2


@pytest.mark.parametrize("lifetime", [0.0, 1.0])
async def test_dead_tokens_cost_at_most_one_post_a_second_for_the_fleet(lifetime: float) -> None:
    """However many replicas and callers there are."""
    bench = Workbench()
    bench.issuer.lifetime = lifetime
    replicas = [bench, bench.replica(), bench.replica()]
    for _ in range(10):
        for replica in replicas:
            await asyncio.gather(*(replica.get(deadline=0.0) for _ in range(5)), return_exceptions=True)
            await a_moment()
        bench.clock.advance(0.25)
    for replica in replicas:
        await replica.broker.close(0.0)
    assert 1 <= bench.issuer.mints <= 3


async def test_a_too_short_token_is_served_even_when_the_store_cannot_be_told() -> None:
    """What was paid for is not thrown away, nor minted again at once."""
    bench = Workbench()
    bench.issuer.lifetime = 0.5
    bench.store.down = frozenset({"fail"})
    await bench.get()
    assert bench.issuer.mints == 1


async def test_a_failure_is_shared_with_the_fleet() -> None:
    """One POST, however many replicas ask."""
    bench = Workbench()
    bench.issuer.fails = refused
    for replica in (bench, bench.replica(), bench.replica()):
        with pytest.raises(IssuerRefused):
            await replica.get()
    assert bench.issuer.mints == 1


async def test_a_new_secret_clears_the_failure_of_the_old_one() -> None:
    """No caller waits 30 s after the mistake is fixed."""
    bench = Workbench()
    bench.issuer.fails = refused
    with pytest.raises(IssuerRefused):
        await bench.get()
    bench.issuer.fails = None
    assert (await bench.replica(credential_version=2).get()).origin is Origin.MINT


async def test_an_issuer_that_limits_the_rate_is_tried_less_and_less_often() -> None:
    """Full jitter: between one second and a ceiling that doubles up to a minute; a success ends it."""
    bench = Workbench()
    bench.issuer.fails = throttled
    pauses: list[float] = []
    for _ in range(12):
        with pytest.raises(IssuerThrottled) as caught:
            await bench.get()
        assert caught.value.retry_after is not None
        pauses.append(caught.value.retry_after)
        bench.clock.advance(60.1)
    assert bench.issuer.mints == 12
    assert pauses[0] == 1.0
    assert all(1.0 <= pause <= min(60.0, 2.0**n) for n, pause in enumerate(pauses))
    assert max(pauses[6:]) > 2.0


async def test_a_failure_that_outlived_its_lease_leaves_no_idle_lease_behind() -> None:
    """Otherwise all would wait in vain, and the POST that failed would be repeated at once."""
    bench = Workbench()
    bench.issuer.gate.clear()
    bench.issuer.fails = refused
    caller = bench.asking()
    await bench.issuer.asked.wait()
    bench.clock.advance(3.5)
    bench.issuer.gate.set()
    with pytest.raises(IssuerRefused):
        await caller
    with pytest.raises(IssuerRefused):
        await bench.replica().get(deadline=1.0)
    assert bench.issuer.mints == 1


async def test_a_token_whose_commit_failed_is_served_from_memory() -> None:
    """The store died between POST and commit; the token is paid for and live."""
    bench = Workbench()
    bench.store.down = frozenset({"commit"})
    served = await bench.get()
    assert (served.origin, served.degraded) == (Origin.MINT, True)
    assert (await bench.get()).token == served.token
    assert bench.issuer.mints == 1


async def test_a_token_whose_commit_failed_is_not_minted_again_when_the_store_is_back() -> None:
    """Its refresh waits for its time, as any other token's."""
    bench = Workbench()
    bench.store.down = frozenset({"commit"})
    token = (await bench.get()).token
    bench.store.down = frozenset()
    for _ in range(5):
        await bench.refresh()
        bench.clock.advance(1.0)
    assert bench.issuer.mints == 1
    assert bench.due_at() == token.refresh_at


async def test_a_flight_waits_for_the_holder_and_takes_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is woken by the commit, and says how long it waited."""
    monkeypatch.setattr(mint, "WAIT_BOUND", 60.0)  # its own timer does not help
    bench = Workbench()
    async with bench.upkeep():
        lease = await lease_of(bench.store, KEY)
        waiting = bench.asking()
        await a_moment()
        token = await bench.store.commit(lease, samples.minted(bench.clock, lifetime=3600.0))
        async with asyncio.timeout(2.0):
            served = await waiting
    assert isinstance(token, Token)
    assert (served.token.generation, served.origin) == (token.generation, Origin.STORE)
    assert [event.generation for event in bench.events(events.Waited)] == [token.generation]
    assert bench.issuer.mints == 0


async def test_a_lost_wake_up_costs_a_quarter_of_a_second() -> None:
    """Messages are hints: the waiter asks again by itself."""
    bench = Workbench()
    lease = await lease_of(bench.store, KEY)
    waiting = bench.asking()
    await a_moment()
    await bench.store.commit(lease, samples.minted(bench.clock, lifetime=3600.0))
    async with asyncio.timeout(2.0):
        assert (await waiting).origin is Origin.STORE
    assert bench.store.calls["acquire"] <= 3


async def test_a_holder_that_died_is_replaced_when_its_lease_lapses() -> None:
    """The waiter takes over; no message is needed."""
    bench = Workbench()
    dead = await lease_of(bench.store, KEY)
    waiting = bench.asking()
    await a_moment()
    assert bench.issuer.mints == 0
    bench.clock.advance(3.5)
    assert (await waiting).token.generation > dead.generation
    assert bench.issuer.mints == 1


async def test_a_slow_post_keeps_its_lease() -> None:
    """It is renewed at least three times in its life, however short that is."""
    bench = Workbench()
    bench.store._lease_seconds = 0.3
    bench.issuer.gate.clear()
    caller = bench.asking()
    await bench.issuer.asked.wait()
    async with asyncio.timeout(5.0):
        while bench.store.calls["renew"] < 3:
            await asyncio.sleep(0.01)
            bench.clock.advance(0.01)
    assert not isinstance(await bench.store.acquire(KEY, acquire_request("another")), Lease)
    bench.issuer.gate.set()
    await caller
    assert not bench.events(events.CommitRefused)


async def test_a_failed_mint_with_the_store_away_says_what_the_issuer_said() -> None:
    """The issuer's trouble is the caller's trouble; the store's is the log's."""
    bench = Workbench()
    bench.issuer.fails = refused
    bench.store.down = ALL - {"acquire"}
    with pytest.raises(IssuerRefused):
        await bench.get()
    assert {event.minting for event in bench.events(events.StoreFailed)} == {False}


async def test_a_mended_secret_works_at_once_where_it_is_known() -> None:
    """Its replica mints within the back-off of the old secret, and all others have the token then."""
    bench = Workbench()
    other = bench.replica(own_issuer=True)
    bench.issuer.fails = refused
    for replica in (bench, other):
        with pytest.raises(IssuerRefused):
            await replica.get()
    assert (bench.issuer.mints, other.issuer.mints) == (1, 0)
    other.issuer.credential = "mended"
    token = (await other.get()).token
    assert named((await bench.get()).token) == named(token)
    assert (bench.issuer.mints, other.issuer.mints) == (1, 1)


async def test_a_secret_that_is_refused_again_backs_off_again() -> None:
    """One POST for each secret in its back-off, however often the replicas that have them are asked in turn."""
    bench = Workbench()
    other = bench.replica(own_issuer=True)
    bench.issuer.fails = other.issuer.fails = refused
    other.issuer.credential = "wrong, too"
    for replica in (bench, other) * 3:
        with pytest.raises(IssuerRefused):
            await replica.get()
    assert (bench.issuer.mints, other.issuer.mints) == (1, 1)


async def test_a_mended_secret_works_at_once_without_the_store() -> None:
    """The replica's own memory of the refusal is of the old secret."""
    bench = Workbench()
    bench.store.down, bench.issuer.fails = ALL, refused
    with pytest.raises(IssuerRefused):
        await bench.get()
    with pytest.raises(IssuerRefused):
        await bench.get()
    bench.issuer.fails, bench.issuer.credential = None, "mended"
    assert (await bench.get()).token.is_live(bench.clock.monotonic())
    assert bench.issuer.mints == 2


async def test_a_credential_that_cannot_be_told_is_no_reason_to_fail() -> None:
    """It is logged, and the mint shows what is wrong, if anything is."""
    bench = Workbench()

    def broken() -> str:
        raise RuntimeError("by a test")

    bench.issuer.proof = broken  # type: ignore[method-assign]
    assert (await bench.get()).token.is_live(bench.clock.monotonic())
    assert [event.where for event in bench.events(events.Unforeseen)] == ["issuer.proof"]


async def test_a_lease_that_came_late_is_confirmed_before_the_post() -> None:
    """This process was stopped before it read the answer, and the lease is another's by now."""
    bench = Workbench()

    def stopped() -> None:
        bench.clock.advance(2.0)
        bench.store.lose(KEY)

    bench.store.after["acquire"] = stopped
    await bench.get()
    assert len(bench.events(events.LeaseLost)) == 1
    assert bench.issuer.mints == 1
