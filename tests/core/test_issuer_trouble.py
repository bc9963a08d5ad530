"""Rate limits and outages are the issuer's: what one key learns holds for all of its keys, at every replica."""

import asyncio
from collections.abc import Callable

import pytest

from mintonce_server.core import events, turns
from mintonce_server.core.broker import Served
from mintonce_server.core.errors import IssuerError, IssuerRefused, IssuerThrottled, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.outage import BURST
from mintonce_server.core.turns import NoTurn
from support.samples import KEY
from support.scripted_issuer import refused, throttled, unavailable
from support.troubled_store import ALL
from support.waiting import wait_until
from support.workbench import Workbench, a_moment

KEYS = [TokenKey.of(KEY.client, f"https://api-{number}.example.com/") for number in range(40)]
BAD = "https://bad.example.com/"


def limited() -> IssuerThrottled:
    """A 429 that says when to come back."""
    error = throttled()
    error.retry_after = 20.0
    return error


async def outcomes(bench: Workbench, keys: list[TokenKey] = KEYS) -> list[object]:
    """What callers of all these keys get at the same time."""
    return await asyncio.gather(*(bench.get(key) for key in keys), return_exceptions=True)


@pytest.mark.parametrize("fails", [limited, throttled, unavailable])
async def test_trouble_of_the_whole_issuer_costs_two_posts(fails: Callable[[], IssuerError]) -> None:
    """One failure may be the key's own. After the second one every key waits, and its callers know for how long."""
    bench = Workbench()
    bench.issuer.fails = fails
    found = await outcomes(bench)
    assert bench.issuer.mints == 2
    assert all(isinstance(error, IssuerError) and error.retry_after for error in found)


async def test_the_other_replicas_know_it_without_a_post() -> None:
    """The store tells them."""
    bench = Workbench()
    other = bench.replica()
    bench.issuer.fails = limited
    await outcomes(bench)
    found = await outcomes(other)
    assert bench.issuer.mints == 2
    assert all(isinstance(error, IssuerThrottled) for error in found)


async def test_no_request_is_made_before_the_time_that_the_issuer_named() -> None:
    """Two POSTs then find out for all: of a key that failed, and of another one."""
    bench = Workbench()
    bench.issuer.fails = limited
    await outcomes(bench)
    bench.clock.advance(19.0)
    await outcomes(bench)
    assert bench.issuer.mints == 2
    bench.clock.advance(1.5)
    await outcomes(bench)
    assert bench.issuer.mints == 4


async def test_an_issuer_that_is_back_serves_every_key_within_two_seconds() -> None:
    """However long it was away, and whichever key is requested first."""
    bench = Workbench()
    bench.issuer.fails = unavailable
    for _ in range(45):
        await outcomes(bench)
        bench.clock.advance(1.0)
    assert bench.issuer.mints <= 1 + 45
    bench.issuer.fails = None
    bench.clock.advance(2.0)
    found = await outcomes(bench)
    assert [error for error in found if isinstance(error, Exception)] == []


async def test_a_key_with_trouble_of_its_own_keeps_no_other_from_the_issuer() -> None:
    """Its failures come between successes of the others."""
    bench = Workbench()
    bench.issuer.fails_for = BAD
    for number in range(30):
        with pytest.raises(IssuerUnavailable):
            await bench.get(TokenKey.of(KEY.client, BAD))
        assert (await bench.get(KEYS[number])).token.is_live(bench.clock.monotonic())
        bench.clock.advance(61.0)


async def test_a_key_that_hangs_holds_the_others_up_for_a_second_at_most() -> None:
    """It may be the issuer that hangs: so one goes alone first, and after a second the next one."""
    bench = Workbench()
    hanging = await hang(bench)
    waiting = bench.asking(KEYS[0])
    await a_moment()
    assert bench.issuer.mints == 1
    bench.clock.advance(1.0)
    assert (await waiting).token.is_live(bench.clock.monotonic())
    await end(bench, hanging)


async def test_a_refusal_is_the_keys_own() -> None:
    """Another audience of the same client may be allowed."""
    bench = Workbench()
    bench.issuer.fails = refused
    found = await outcomes(bench)
    assert bench.issuer.mints == len(KEYS)
    assert all(isinstance(error, IssuerRefused) for error in found)


def not_taken() -> IssuerRefused:
    """A wrong secret: no key of the client gets a token with it."""
    error = refused()
    error.of_client = True
    return error


async def test_a_refused_secret_costs_two_posts_however_many_keys_there_are() -> None:
    """One refusal may be a quirk of one audience. After the second, all keys of the client wait for 30 s."""
    bench = Workbench()
    bench.issuer.fails = not_taken
    found = await outcomes(bench)
    assert bench.issuer.mints == 2
    assert all(isinstance(error, IssuerRefused) and error.retry_after for error in found)
    bench.clock.advance(29.0)
    await outcomes(bench)
    assert bench.issuer.mints == 2


async def test_a_mended_secret_works_at_once_for_all_keys() -> None:
    """The refusal was of the other secret."""
    bench = Workbench()
    bench.issuer.fails = not_taken
    await outcomes(bench)
    bench.issuer.fails, bench.issuer.credential = None, "another"
    found = await outcomes(bench)
    assert [error for error in found if isinstance(error, Exception)] == []


async def test_a_mended_secret_that_is_refused_backs_off_again() -> None:
    """Two POSTs for each secret."""
    bench = Workbench()
    bench.issuer.fails = not_taken
    await outcomes(bench)
    bench.issuer.credential = "another"
    await outcomes(bench)
    await outcomes(bench)
    assert bench.issuer.mints == 4


async def test_without_the_store_a_refused_secret_costs_two_posts_a_replica() -> None:
    """And a mended one works at once."""
    bench = Workbench()
    bench.store.down, bench.issuer.fails = ALL, not_taken
    await outcomes(bench, KEYS[: BURST // 2])
    assert bench.issuer.mints == 2
    bench.issuer.fails, bench.issuer.credential = None, "another"
    assert (await bench.get(KEYS[0])).token.provisional


async def test_another_issuer_is_another_matter() -> None:
    """Its keys are minted."""
    bench = Workbench()
    elsewhere = bench.replica(own_issuer=True, issuer_account="https://elsewhere.example.com/oauth/token")
    bench.issuer.fails = limited
    await outcomes(bench)
    found = await outcomes(elsewhere, [TokenKey.of(KEY.client, "https://elsewhere.example.com/")])
    assert [error for error in found if isinstance(error, Exception)] == []


async def test_without_the_store_a_replica_learns_for_itself() -> None:
    """Two POSTs for each replica."""
    bench = Workbench()
    bench.store.down, bench.issuer.fails = ALL, limited
    found = await outcomes(bench, KEYS[: BURST // 2])
    assert bench.issuer.mints == 2
    assert all(isinstance(error, IssuerThrottled) for error in found)


async def test_a_store_that_cannot_say_is_no_reason_to_wait() -> None:
    """A lease is had, so the mint goes on."""
    bench = Workbench()
    bench.store.down = frozenset({"enter", "learn"})
    served = await bench.get()
    assert not served.token.provisional
    assert not served.degraded


async def test_the_trouble_of_the_issuer_counts_among_no_keys_own_failures() -> None:
    """So a key's own back-off does not grow while the issuer is away. The first failure may be its own."""
    bench = Workbench()
    bench.issuer.fails = unavailable
    for _ in range(5):
        await outcomes(bench)
        bench.clock.advance(2.0)
    assert sorted(entry.meta.n for entry in bench.store.server.entries.values()) == [0] * (len(KEYS) - 1) + [1]


async def test_a_post_that_waited_has_its_lease_confirmed() -> None:
    """The store lost the lease meanwhile: another replica may be minting, so it asks again first."""
    bench = Workbench()
    hanging = await hang(bench)
    waiting = bench.asking(KEYS[0])
    await a_moment()
    bench.store.server.entries.pop(bench.store.key_hash(KEYS[0]))
    bench.clock.advance(1.0)
    await wait_until(lambda: bench.events(events.LeaseLost))
    assert bench.issuer.mints == 1
    bench.clock.advance(1.0)
    assert (await waiting).token.is_live(bench.clock.monotonic())
    await end(bench, hanging)


async def test_a_lone_mint_that_waited_asks_the_store_again() -> None:
    """It is back, and another replica has minted: no second POST."""
    bench = Workbench()
    other = bench.replica(own_issuer=True)
    bench.store.down = ALL
    hanging = await hang(bench)
    waiting = bench.asking(KEYS[0])
    await a_moment()
    bench.store.down = frozenset()
    minted = (await other.get(KEYS[0])).token
    assert (await waiting).token.generation == minted.generation
    assert bench.issuer.mints == 1
    await end(bench, hanging)


async def test_a_lone_mint_waits_for_so_long_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key after the other hangs, each alone: in the end callers get an error that says so."""
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    bench = Workbench()
    bench.store.down = ALL
    hanging = [await hang(bench), bench.asking(TokenKey.of(KEY.client, f"{BAD}too"))]
    waiting = bench.asking(KEYS[0])
    with pytest.raises(NoTurn):
        await waiting
    await end(bench, *hanging)


async def hang(bench: Workbench) -> asyncio.Task[Served]:
    """A caller whose POST has begun and hangs."""
    bench.issuer.hangs_for = BAD
    hanging = bench.asking(TokenKey.of(KEY.client, BAD))
    await bench.issuer.asked.wait()
    return hanging


async def end(bench: Workbench, *hanging: asyncio.Task[Served]) -> None:
    """Nothing hangs any more."""
    for task in hanging:
        task.cancel()
    bench.issuer.end_of_hanging.set()
    await bench.broker.close(1.0)
