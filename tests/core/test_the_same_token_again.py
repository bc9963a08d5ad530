"""An issuer that hands out one token until it ends: it stands by it after a rejection, and repeats it near the end."""

import asyncio
from dataclasses import replace

import pytest

from mintonce_server.core import events
from mintonce_server.core.broker import Served
from mintonce_server.core.errors import RotationTooSoon
from mintonce_server.core.token import Origin, Token
from support.options import BROKER_OPTIONS
from support.samples import KEY
from support.scripted_issuer import refused
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import OPTIONS, Workbench, a_moment

FREE = replace(BROKER_OPTIONS, min_rotation_interval=0.0)
INTERVAL = OPTIONS.min_rotation_interval


async def rejected(bench: Workbench) -> Token:
    """A token that a resource server refused, of an issuer that knows no other."""
    bench.issuer.text = "always-this"
    token = (await bench.get()).token
    await bench.broker.reject(KEY, token.generation, "key:the-one-who-says-so")
    return token


def texts(answers: list[Served]) -> set[tuple[str, bool]]:
    """What was served, and whether it was marked degraded."""
    return {(served.token.access_token.reveal(), served.degraded) for served in answers}


async def test_a_rejected_token_that_the_issuer_gives_again_is_served_degraded() -> None:
    """One caller's word does not take a key from the fleet: the issuer has the last one."""
    bench = Workbench()
    old = await rejected(bench)
    served = await bench.get()
    assert texts([served, await bench.get()]) == {("always-this", True)}
    assert served.token.generation > old.generation


async def test_the_log_names_the_caller_that_rejected_it() -> None:
    """The operator learns from whom the doubt came."""
    bench = Workbench()
    await rejected(bench)
    served = await bench.get()
    (event,) = bench.events(events.Reissued)
    assert (event.generation, event.rejected_by) == (served.token.generation, "key:the-one-who-says-so")


async def test_every_replica_marks_it() -> None:
    """Also one that starts later: the store says so."""
    bench = Workbench()
    await rejected(bench)
    await bench.get()
    served = await bench.replica().get()
    assert texts([served]) == {("always-this", True)}
    assert served.origin is Origin.STORE


async def test_rejections_cost_one_post_in_an_interval() -> None:
    """However often callers reject it, at however many replicas; between the POSTs the token is served."""
    bench = Workbench()
    replicas = [bench, bench.replica(), bench.replica()]
    await rejected(bench)
    for second in range(int(2 * INTERVAL)):
        answers = [await replica.get() for replica in replicas]
        assert texts(answers) == {("always-this", True)}
        for replica, served in zip(replicas, answers, strict=True):
            await asyncio.gather(replica.broker.reject(KEY, served.token.generation), return_exceptions=True)
        bench.clock.advance(1.0)
        assert bench.issuer.mints <= 2 + second // INTERVAL + 1


async def test_a_second_rejection_within_the_interval_says_when_to_come_again() -> None:
    """The token goes on being served."""
    bench = Workbench()
    await rejected(bench)
    served = await bench.get()
    with pytest.raises(RotationTooSoon) as caught:
        await bench.broker.reject(KEY, served.token.generation)
    assert caught.value.retry_after == pytest.approx(INTERVAL, abs=0.1)
    assert texts([await bench.get()]) == {("always-this", True)}


async def test_another_text_ends_it() -> None:
    """The issuer has mended it: all is as before."""
    bench = Workbench(options=FREE)
    await rejected(bench)
    again = (await bench.get()).token
    bench.issuer.text = None
    await bench.broker.reject(KEY, again.generation)
    served = await bench.get()
    assert (served.origin, served.degraded) == (Origin.MINT, False)
    assert served.token.generation > again.generation


async def test_a_failure_in_between_changes_nothing() -> None:
    """The rejection outlives it."""
    bench = Workbench()
    await rejected(bench)
    bench.issuer.fails = refused
    await asyncio.gather(bench.get(), return_exceptions=True)
    bench.issuer.fails = None
    bench.clock.advance(30.1)
    assert texts([await bench.get()]) == {("always-this", True)}


async def test_it_is_noticed_without_the_store_too() -> None:
    """The replica that had the token knows its fingerprint; when the store is back, so does the fleet."""
    bench = Workbench()
    await rejected(bench)
    bench.store.down = ALL
    assert texts([await bench.get()]) == {("always-this", True)}
    assert bench.issuer.mints == 2
    bench.store.down = frozenset()
    await bench.catch_up()
    assert texts([await bench.replica().get()]) == {("always-this", True)}
    assert bench.issuer.mints == 2


async def test_what_was_noticed_without_the_store_outlives_its_loss() -> None:
    """The store comes back empty: only the replica that minted alone knows of the rejection."""
    bench = Workbench()
    await rejected(bench)
    bench.store.down = ALL
    await bench.get()
    assert len(bench.events(events.Reissued)) == 1
    bench.store.lose(KEY)
    bench.store.down = frozenset()
    await bench.catch_up()
    assert texts([await bench.replica().get()]) == {("always-this", True)}
    assert bench.issuer.mints == 2


async def near_the_end(bench: Workbench) -> Token:
    """Its refresh is due, and the issuer gives the same token with the same end."""
    bench.issuer.text = "until-it-ends"
    token = (await bench.get()).token
    bench.clock.advance(token.refresh_at - bench.clock.monotonic() + 0.1)
    bench.issuer.lifetime = token.remaining(bench.clock.monotonic())
    return token


async def test_a_repeated_token_is_no_successor() -> None:
    """It is not stored again, and the issuer is not asked again before it ends."""
    bench = Workbench()
    token = await near_the_end(bench)
    for _ in range(5):
        await bench.refresh()
        assert (await bench.get()).token.generation == token.generation
    assert bench.issuer.mints == 2
    assert len(bench.events(events.Repeated)) == 1
    assert bench.due_at() == pytest.approx(token.expires_at, abs=0.1)


async def test_callers_are_served_to_its_very_end_and_get_a_new_one_then() -> None:
    """No call fails, and none waits for a back-off."""
    bench = Workbench()
    token = await near_the_end(bench)
    await bench.refresh()
    while bench.clock.monotonic() < token.expires_at - 1.0:
        assert (await bench.get()).token.generation == token.generation
        bench.clock.advance(20.0 if token.remaining(bench.clock.monotonic()) > 21.0 else 0.9)
    assert bench.issuer.mints == 2
    bench.clock.advance(token.remaining(bench.clock.monotonic()) + 0.001)
    bench.issuer.text, bench.issuer.lifetime = None, 3600.0
    served = await bench.get(deadline=0.5)
    assert (served.origin, served.degraded, bench.issuer.mints) == (Origin.MINT, False, 3)


async def test_a_replica_that_reckons_its_end_a_little_early_waits_for_the_next() -> None:
    """A reader counts the time that the store's answer took: its token is over before the store's record is."""
    bench = Workbench()
    late = bench.replica()
    token = await near_the_end(bench)
    await late.get()
    entry = late.entry()
    assert entry
    assert entry.token
    entry.token = replace(entry.token, expires_at=token.expires_at - 0.2)
    await bench.refresh()
    bench.issuer.text, bench.issuer.lifetime = None, 3600.0
    bench.clock.advance(token.remaining(bench.clock.monotonic()) - 0.1)
    asked = bench.store.calls["acquire"]
    asking = late.asking()
    await wait_until(lambda: bench.store.calls["acquire"] > asked)
    await a_moment()
    bench.clock.advance(0.2)
    served = await asking
    assert (served.origin, served.degraded) == (Origin.MINT, False)
    assert bench.issuer.mints == 3


async def test_a_repeated_token_with_a_later_end_is_a_successor() -> None:
    """Some issuers prolong a token instead of replacing it."""
    bench = Workbench()
    token = await near_the_end(bench)
    bench.issuer.lifetime = 3600.0
    await bench.refresh()
    served = await bench.get()
    assert served.token.generation > token.generation
    assert served.token.expires_at > token.expires_at + 3000.0


async def test_a_repeated_token_can_be_rejected() -> None:
    """Then there is a reason to ask the issuer before the token ends."""
    bench = Workbench()
    token = await near_the_end(bench)
    await bench.refresh()
    bench.issuer.text, bench.issuer.lifetime = None, 3600.0
    await bench.broker.reject(KEY, token.generation)
    assert (await bench.get()).token.generation > token.generation
