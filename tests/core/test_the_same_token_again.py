"""An issuer that hands out the very token that was rejected has mended nothing: a failure, with back-off."""

import asyncio

import pytest

from mintonce_server.core import events
from mintonce_server.core.broker import BrokerOptions
from mintonce_server.core.errors import IssuerMalformed, Reason
from mintonce_server.core.token import Origin, Token
from support.samples import KEY
from support.scripted_issuer import refused
from support.troubled_store import ALL
from support.workbench import Workbench

FREE = BrokerOptions(min_rotation_interval=0.0)


async def rejected(bench: Workbench) -> Token:
    """A token that a resource server refused, of an issuer that knows no other."""
    bench.issuer.text = "always-this"
    token = (await bench.get()).token
    await bench.broker.reject(KEY, token.generation)
    return token


async def test_it_is_no_token() -> None:
    """Nothing is committed, and the caller learns why, without the token's text."""
    bench = Workbench()
    await rejected(bench)
    with pytest.raises(IssuerMalformed, match="very token that was rejected") as caught:
        await bench.get()
    assert "always-this" not in f"{caught.value!r} {caught.value} {caught.value.remedy}"
    assert await bench.store.load([KEY]) == [None]
    assert len(bench.events(events.Committed)) == 1


async def test_the_log_says_that_the_mint_failed() -> None:
    """With its reason, a remedy, and when it is tried again."""
    bench = Workbench()
    await rejected(bench)
    await asyncio.gather(bench.get(), return_exceptions=True)
    (failed,) = bench.events(events.MintFailed)
    assert failed.reason is Reason.ISSUER_MALFORMED
    assert failed.remedy
    assert 1.0 <= failed.retry_after <= 60.0


async def test_callers_in_a_loop_cost_one_post_in_each_back_off() -> None:
    """However many call, at however many replicas."""
    bench = Workbench()
    replicas = [bench, bench.replica(), bench.replica()]
    await rejected(bench)
    for _ in range(20):
        answers = await asyncio.gather(*(replica.get() for replica in replicas), return_exceptions=True)
        assert {type(answer) for answer in answers} == {IssuerMalformed}
    assert bench.issuer.mints == 2


async def test_the_back_off_grows() -> None:
    """It may take as long as the token lives: the pauses grow up to a minute, as with any failure in a row."""
    bench = Workbench()
    await rejected(bench)
    pauses: list[float] = []
    for _ in range(10):
        with pytest.raises(IssuerMalformed) as caught:
            await bench.get()
        assert caught.value.retry_after is not None
        pauses.append(caught.value.retry_after)
        bench.clock.advance(60.1)
    assert pauses[0] == 1.0
    assert max(pauses[5:]) > 2.0
    assert all(1.0 <= pause <= min(60.0, 2.0**n) for n, pause in enumerate(pauses))


async def test_another_replica_notices_too() -> None:
    """The lease says which text was rejected last: who takes it need not have seen the token."""
    bench = Workbench()
    await rejected(bench)
    newcomer = bench.replica()
    with pytest.raises(IssuerMalformed, match="very token that was rejected"):
        await newcomer.get()
    assert len(newcomer.events(events.MintFailed)) == 1


async def test_another_text_ends_it() -> None:
    """The issuer has mended it: all is as before."""
    bench = Workbench()
    old = await rejected(bench)
    await asyncio.gather(bench.get(), return_exceptions=True)
    bench.issuer.text = None
    bench.clock.advance(60.1)
    served = await bench.get()
    assert (served.origin, served.degraded) == (Origin.MINT, False)
    assert served.token.generation > old.generation


async def test_the_same_text_without_a_rejection_is_a_token() -> None:
    """Some issuers give one token until it is nearly over: a successor may have the same text, and counts."""
    bench = Workbench(options=FREE)
    bench.issuer.text = "always-this"
    first = (await bench.get()).token
    _, after = await bench.broker.rotate(KEY, 5.0)
    assert after > first.generation
    assert not bench.events(events.MintFailed)


async def test_an_older_rejection_is_forgotten_with_the_next() -> None:
    """Only the one rejected last is known: more would grow without end."""
    bench = Workbench(options=FREE)
    for text in ("one", "two", "one"):
        bench.issuer.text = text
        token = (await bench.get()).token
        assert token.access_token.reveal() == text
        await bench.broker.reject(KEY, token.generation)
    assert not bench.events(events.MintFailed)


async def test_another_failure_in_between_changes_nothing() -> None:
    """The rejection outlives it."""
    bench = Workbench()
    await rejected(bench)
    bench.issuer.fails = refused
    await asyncio.gather(bench.get(), return_exceptions=True)
    bench.issuer.fails = None
    bench.clock.advance(30.1)
    with pytest.raises(IssuerMalformed):
        await bench.get()


async def test_it_is_noticed_without_the_store_too() -> None:
    """The replica that had the token knows its fingerprint, and goes on alone no further than that."""
    bench = Workbench()
    await rejected(bench)
    bench.store.down = ALL
    for _ in range(5):
        with pytest.raises(IssuerMalformed):
            await bench.get()
    assert len(bench.events(events.MintFailed)) == 1
    assert bench.issuer.mints == 2
