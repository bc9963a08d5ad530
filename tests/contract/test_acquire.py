"""Which caller gets the token, which one waits, and which one mints."""

import asyncio

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Backoff, Failure, Hit, Lease, TokenStore, Wait
from mintonce_server.core.token import Token
from support.eventually import eventually
from support.samples import KEY, OTHER, acquire_request, as_lease, lease_of, minted, shared


async def test_of_many_callers_exactly_one_gets_the_lease(store: TokenStore) -> None:
    """Of twenty concurrent callers, one mints and the others wait."""
    answers = await asyncio.gather(*(store.acquire(KEY, acquire_request()) for _ in range(20)))
    assert sorted(type(answer).__name__ for answer in answers) == ["Lease"] + ["Wait"] * 19


async def test_a_waiter_learns_for_how_long_at_most(store: TokenStore) -> None:
    """A WAIT ends with the holder's lease."""
    await lease_of(store)
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Wait)
    assert 0 < answer.seconds <= 60.0


async def test_a_lost_reply_costs_nothing(store: TokenStore) -> None:
    """A repetition with the same nonce gets the same lease, with the same generation."""
    first = await lease_of(store, nonce="mine")
    again = as_lease(await store.acquire(KEY, acquire_request("mine")))
    assert again.generation == first.generation


async def test_a_lease_knows_its_end_on_our_own_clock(store: TokenStore, clock: Clock) -> None:
    """It is never longer than the true lease: it counts from the moment before the request is sent."""
    before = clock.monotonic()
    lease = await lease_of(store)
    assert before < lease.expires_at <= clock.monotonic() + 60.0


async def test_a_lease_that_lapses_goes_to_the_next(hasty: TokenStore) -> None:
    """A holder that died is replaced, with a higher generation."""
    dead = await lease_of(hasty)
    answer = await eventually(lambda: hasty.acquire(KEY, acquire_request()), lambda answer: isinstance(answer, Lease))
    assert as_lease(answer).generation > dead.generation


async def test_what_was_committed_is_a_hit_for_all(store: TokenStore, clock: Clock) -> None:
    """All callers get the same token, with everything that the issuer said about it."""
    token = await shared(store, clock)
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Hit)
    found = answer.token
    assert (found.key, found.key_hash, found.generation) == (KEY, store.key_hash(KEY), token.generation)
    assert (found.access_token, found.token_type, found.scopes) == (token.access_token, "Bearer", ("orders:read",))
    assert (found.lifetime, found.expiry_unix) == (100.0, token.expiry_unix)


async def test_keys_do_not_meet(store: TokenStore, clock: Clock) -> None:
    """A token of one key is never returned for another."""
    await shared(store, clock)
    assert isinstance(await store.acquire(OTHER, acquire_request()), Lease)


async def test_a_reader_never_thinks_that_more_is_left_than_there_is(store: TokenStore, clock: Clock) -> None:
    """The lifetime counts from the start of the POST, and the reader's start errs to the short side."""
    lease = await lease_of(store)
    await store.commit(lease, minted(clock, lifetime=100.0, age=10.0))
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Hit)
    assert 85.0 < answer.token.remaining(clock.monotonic()) <= 90.0
    assert 75.0 < answer.token.refresh_at - clock.monotonic() < 90.0
    assert abs(answer.token.expiry_unix - clock.unix() - 90.0) < 5.0


async def test_only_a_newer_token_will_do(store: TokenStore, clock: Clock) -> None:
    """A caller that requires a newer token gets the lease, while the others still get the token."""
    token = await shared(store, clock)
    lease = as_lease(await store.acquire(KEY, acquire_request(newer_than=token.generation)))
    assert lease.generation > token.generation
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)
    assert isinstance(await store.acquire(KEY, acquire_request(newer_than=token.generation)), Wait)


@pytest.mark.parametrize(
    ("age", "min_ttl", "served"),
    [
        pytest.param(0.0, 0.0, True, id="fresh"),
        pytest.param(94.0, 0.0, True, id="just above the leeway of 5 %"),
        pytest.param(96.0, 0.0, False, id="inside the leeway"),
        pytest.param(70.0, 20.0, True, id="more left than wished for"),
        pytest.param(70.0, 40.0, False, id="less left than wished for"),
        pytest.param(40.0, 90.0, True, id="a wish for more than half of the life is read as half"),
    ],
)
async def test_how_much_must_be_left(store: TokenStore, clock: Clock, age: float, min_ttl: float, served: bool) -> None:
    """As core.token.wanted says: a token with enough left is a HIT, otherwise the caller mints."""
    await store.commit(await lease_of(store), minted(clock, lifetime=100.0, age=age))
    answer = await store.acquire(KEY, acquire_request(min_ttl=min_ttl))
    assert isinstance(answer, Hit if served else Lease)


async def test_an_expired_token_is_gone(store: TokenStore, clock: Clock) -> None:
    """Its successor has a higher generation."""
    token = await shared(store, clock, lifetime=0.05)
    await eventually(lambda: store.load([KEY]), lambda tokens: tokens == [None])
    assert (await lease_of(store)).generation > token.generation


async def test_a_new_secret_makes_old_tokens_count_no_more(store: TokenStore, clock: Clock) -> None:
    """Only tokens of this credential version or a newer one are HITs."""
    await shared(store, clock, cv=1)
    assert isinstance(await store.acquire(KEY, acquire_request(cv=2)), Lease)


async def test_a_newer_secret_s_token_is_good_for_all(store: TokenStore, clock: Clock) -> None:
    """A replica with the old secret accepts it."""
    await shared(store, clock, cv=2)
    assert isinstance(await store.acquire(KEY, acquire_request(cv=1)), Hit)


async def test_a_backoff_shows_what_is_live_all_the_same(store: TokenStore, clock: Clock) -> None:
    """The issuer is down and the token is old: better than none."""
    token = await shared(store, clock)
    await store.fail(await lease_of(store, newer_than=token.generation), Failure(Reason.ISSUER_UNAVAILABLE), 30.0)
    answer = await store.acquire(KEY, acquire_request(newer_than=token.generation))
    assert isinstance(answer, Backoff)
    assert isinstance(answer.token, Token)
    assert answer.token.generation == token.generation


async def test_a_backoff_shows_no_token_of_an_old_secret(store: TokenStore, clock: Clock) -> None:
    """It counts as missing here, too."""
    token = await shared(store, clock, cv=1)
    lease = await lease_of(store, cv=2, newer_than=token.generation)
    await store.fail(lease, Failure(Reason.ISSUER_REFUSED, "invalid_client"), 30.0)
    answer = await store.acquire(KEY, acquire_request(cv=2))
    assert isinstance(answer, Backoff)
    assert answer.token is None
