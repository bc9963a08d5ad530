"""A token is served from memory only while its age is known: what the store confirmed lately, or could not."""

import asyncio
from collections.abc import Sequence

import pytest

from mintonce_server.core.errors import StoreUnavailable, WaitTimedOut
from mintonce_server.core.key import TokenKey
from mintonce_server.core.token import Origin, Token
from support.samples import KEY, lease_of, minted, named
from support.troubled_store import ALL
from support.workbench import OPTIONS, Workbench

BOUND = OPTIONS.revalidate_within


async def replaced_in_silence(bench: Workbench, old: Token) -> Token:
    """Another replica minted a successor, and this one has not heard of it."""
    bench.store.silent = True
    lease = await lease_of(bench.store, KEY, newer_than=old.generation)
    new = await bench.store.commit(lease, minted(bench.clock, "theirs", lifetime=3600.0))
    assert isinstance(new, Token)
    return new


async def test_what_was_confirmed_within_the_bound_is_served_without_io() -> None:
    """The hot path makes no request, up to the last moment of the bound."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(BOUND)
    bench.store.calls.clear()
    served = await bench.get()
    assert (served.token, served.origin, served.degraded) == (token, Origin.MEMORY, False)
    assert bench.store.calls.total() == 0


async def test_a_replica_that_was_stopped_asks_the_store_before_it_serves() -> None:
    """It did not hear what happened meanwhile: no caller gets the earlier token."""
    bench = Workbench()
    old = (await bench.get()).token
    new = await replaced_in_silence(bench, old)
    assert (await bench.get()).token == old
    bench.clock.advance(BOUND + 0.1)
    assert bench.broker.peek(KEY) is None
    assert named((await bench.get()).token) == named(new)
    assert bench.issuer.mints == 1


async def test_a_replica_that_was_stopped_serves_nothing_that_was_rejected_meanwhile() -> None:
    """The bound is a promise to the caller that rejected it."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.store.silent = True
    await bench.store.reject(KEY, old.generation, 30.0)
    bench.clock.advance(BOUND + 0.1)
    assert (await bench.get()).token.generation > old.generation
    assert bench.issuer.mints == 2


async def test_a_caller_who_does_not_wait_for_the_store_gets_nothing_that_was_rejected_meanwhile() -> None:
    """Its deadline is over before the store has answered: no token is better than one of unknown age."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.store.silent = True
    await bench.store.reject(KEY, old.generation, 30.0)
    bench.clock.advance(BOUND + 0.1)
    with pytest.raises(WaitTimedOut):
        await bench.get(deadline=0.0)
    await bench.broker.close(grace=5.0)


async def test_a_thousand_callers_after_a_stop_cost_one_question() -> None:
    """They share the flight, and the answer is good for all who come within the bound."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(BOUND + 0.1)
    bench.store.calls.clear()
    answers = await asyncio.gather(*(bench.get() for _ in range(1000)))
    assert {served.token for served in answers} == {token}
    assert not any(served.degraded for served in answers)
    assert bench.store.calls == {"generations": 1}
    assert (await bench.get()).origin is Origin.MEMORY
    assert bench.store.calls == {"generations": 1}


async def test_what_another_task_confirms_before_a_callers_question_is_not_asked_about_again() -> None:
    """A record that this replica cannot open would count as none then, and cost a mint beside the live token."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(BOUND + 0.1)
    asking = asyncio.create_task(bench.get())
    await asyncio.sleep(0)  # it has looked, and starts a flight
    entry = bench.broker._cache.get(KEY)
    assert entry is not None
    entry.confirm(token.generation, bench.clock.monotonic())
    bench.store.calls.clear()
    assert (await asking).token == token
    assert bench.store.calls.total() == 0


async def test_in_an_outage_an_old_answer_is_served_marked() -> None:
    """Better a token that may have been rejected than none: the answer says so."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.down = ALL
    bench.clock.advance(BOUND + 0.1)
    served = await bench.get()
    assert (served.token, served.origin, served.degraded) == (token, Origin.MEMORY, True)
    assert bench.issuer.mints == 1


async def test_in_an_outage_not_every_call_asks_the_store() -> None:
    """A call that waits for a dead store takes as long as the store's deadline: one in each bound is enough."""
    bench = Workbench()
    await bench.get()
    bench.store.down = ALL
    bench.clock.advance(BOUND + 0.1)
    bench.store.calls.clear()
    for _ in range(100):
        assert (await bench.get()).degraded
    assert bench.store.calls.total() == 1
    bench.clock.advance(BOUND + 0.1)
    for _ in range(100):
        assert (await bench.get()).degraded
    assert bench.store.calls.total() == 2


async def test_after_an_outage_the_mark_goes() -> None:
    """As soon as the store has said that the token is current."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.down = ALL
    bench.clock.advance(BOUND + 0.1)
    assert (await bench.get()).degraded
    bench.store.down = frozenset()
    await bench.catch_up()
    served = await bench.get()
    assert (served.token, served.degraded) == (token, False)


async def test_a_deadline_that_passed_while_the_replica_was_stopped_is_no_outage() -> None:
    """The question went out before the stop: when it resumes, it asks the store again."""
    bench = Workbench()
    old = (await bench.get()).token
    bench.clock.advance(BOUND + 0.1)

    bench.store.silent = True
    await bench.store.reject(KEY, old.generation, 30.0)

    def stopped_while_it_asked() -> None:
        bench.clock.advance(60.0)
        raise StoreUnavailable("no answer in time", remedy="Wait.", retry_after=1.0)

    bench.store.after["generations"] = stopped_while_it_asked
    await asyncio.gather(bench.get(), return_exceptions=True)
    assert bench.broker.peek(KEY) is None
    assert (await bench.get()).token.generation > old.generation


async def test_the_token_s_end_counts_in_an_outage_too() -> None:
    """Marked is not endless: after its expiry a token is not served."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.store.down = ALL
    bench.issuer.gate.clear()
    bench.clock.advance(token.lifetime + 0.1)
    caller = bench.asking()
    await bench.issuer.asked.wait()  # it mints alone: it holds nothing
    bench.issuer.gate.set()
    assert (await caller).token.generation > token.generation


async def test_an_outage_that_took_long_to_be_noticed_is_an_outage() -> None:
    """A slow machine: the store's deadline and the bound of staleness went by before the failure was there."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(BOUND + 0.1)
    bench.store.down = frozenset({"generations"})
    begin = bench.store._begin

    def slowly(method: str, key: TokenKey | None = None) -> None:
        bench.clock.advance(BOUND + 0.1)
        begin(method, key)

    bench.store._begin = slowly  # type: ignore[method-assign] # time goes by in each call
    served = await bench.get()
    assert (served.token, served.degraded) == (token, True)


async def test_a_store_that_says_nothing_for_a_while_is_away() -> None:
    """The caller's deadline is before the store's, and the token lives: it is served, as in an outage."""
    bench = Workbench()
    token = (await bench.get()).token
    bench.clock.advance(BOUND + 0.1)
    silent = asyncio.Event()

    async def generations(_: object) -> list[int | StoreUnavailable]:
        bench.clock.advance(0.3)
        await silent.wait()
        return [0]

    bench.store.generations = generations  # type: ignore[method-assign, assignment] # it never answers
    served = await bench.get(deadline=0.05)
    assert (served.token, served.degraded) == (token, True)
    await bench.broker.close(0.0)


async def test_what_a_flight_brought_before_a_stop_is_looked_at_again() -> None:
    """It was rejected while its answer was on the way."""
    bench = Workbench()

    def stopped() -> None:
        bench.clock.advance(BOUND + 3.0)
        (record,) = [entry.record for entry in bench.store.server.entries.values() if entry.record]
        bench.store.server.reject(bench.store.key_hash(KEY), generation=record.f, min_interval=0)

    bench.store.silent = True
    bench.store.after["commit"] = stopped
    served = (await bench.get()).token
    assert bench.issuer.mints == 2
    assert named((await bench.replica().get()).token) == named(served)


@pytest.mark.parametrize(("stopped", "gets_it"), [(0.0, True), (8.0, False)])
async def test_a_caller_of_a_replica_that_was_stopped_has_not_waited(stopped: float, gets_it: bool) -> None:
    """Who waits in vain for the store's answer gets the live token, as in an outage. A stop is no wait."""
    bench = Workbench()
    await bench.get()
    bench.clock.advance(BOUND + 0.1)
    asked, never = asyncio.Event(), asyncio.Event()

    async def generations(keys: Sequence[TokenKey]) -> list[int | StoreUnavailable]:
        asked.set()
        await never.wait()
        raise AssertionError

    bench.store.generations = generations  # type: ignore[method-assign] # the store says nothing
    asking = bench.asking(deadline=0.3)
    await asked.wait()
    bench.clock.advance(0.3 + stopped)
    if gets_it:
        assert (await asking).degraded
    else:
        with pytest.raises(WaitTimedOut):
            await asking
    await bench.broker.close(0.0)
