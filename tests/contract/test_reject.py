"""A token that a resource server refused is never served again."""

import asyncio

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Backoff, Failure, Hit, Lease, Refusal, Rejection, TokenStore
from mintonce_server.core.token import Token
from support.eventually import eventually
from support.samples import KEY, acquire_request, adopted, lease_of, minted, shared

OTHER = Rejection(was_current=False)
UNKNOWN = Rejection(was_current=False, known=False)


def current(token: Token) -> Rejection:
    """The answer for every caller that rejects this token while it is current, or repeats that later."""
    return Rejection(was_current=True, generation=token.generation)


async def test_the_current_token_is_dropped(store: TokenStore, clock: Clock) -> None:
    """Its successor is newer than all tokens before."""
    token = await shared(store, clock)
    assert await store.reject(KEY, token.generation, 30.0) == current(token)
    assert await store.load([KEY]) == [None]
    assert (await lease_of(store)).generation > token.generation


async def test_saying_it_again_changes_nothing(store: TokenStore, clock: Clock) -> None:
    """A hundred callers reject the same token: one rejection, and its successor stays."""
    token = await shared(store, clock)
    await store.reject(KEY, token.generation, 0.0)
    successor = await shared(store, clock)
    answers = await asyncio.gather(*(store.reject(KEY, token.generation, 0.0) for _ in range(10)))
    assert answers == [current(token)] * 10
    assert isinstance(await store.acquire(KEY, acquire_request(newer_than=successor.generation - 1)), Hit)


async def test_a_token_that_was_replaced_already_is_none_of_our_business(store: TokenStore, clock: Clock) -> None:
    """The caller has an old token, and can get the current one."""
    old = await shared(store, clock)
    newer = await store.commit(await lease_of(store, newer_than=old.generation), minted(clock))
    assert isinstance(newer, Token)
    assert await store.reject(KEY, old.generation, 30.0) == OTHER
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)


@pytest.mark.parametrize("ahead", [1, 2**53, 2**62, 2**63 - 1])
async def test_a_generation_that_never_was_changes_nothing(store: TokenStore, clock: Clock, ahead: int) -> None:
    """The store does not know the number. The token stays, and so does the next generation."""
    assert await store.reject(KEY, ahead, 30.0) == UNKNOWN
    token = await shared(store, clock)
    generation = ahead if ahead > token.generation else token.generation + ahead
    assert await store.reject(KEY, generation, 30.0) == UNKNOWN
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)
    assert (
        token.generation
        < (await lease_of(store, newer_than=token.generation)).generation
        < token.generation + 60_000_000
    )


async def test_zero_names_no_token(store: TokenStore, clock: Clock) -> None:
    """It stands for "none" in a record and in a meta: neither the current token nor a lease may be dropped."""
    in_flight = await lease_of(store)
    assert await store.reject(KEY, 0, 0.0) == OTHER
    assert await store.renew(in_flight)
    token = await store.commit(in_flight, minted(clock))
    assert isinstance(token, Token)
    assert await store.reject(KEY, 0, 0.0) == OTHER
    assert await store.load([KEY]) != [None]


async def test_what_is_not_committed_yet_is_rejected_too(store: TokenStore, clock: Clock) -> None:
    """A replica serves a token that it could not commit. After the rejection of its number, a commit is too late."""
    lease = await lease_of(store)
    token = lease.token(minted(clock), store.key_hash(KEY))
    assert await store.reject(KEY, lease.generation, 30.0) == current(token)
    assert await store.reject(KEY, lease.generation, 30.0) == current(token)
    assert await store.commit(lease, minted(clock)) is Refusal.REJECTED
    assert await store.restore(token) is Refusal.REJECTED
    assert (await lease_of(store)).generation > lease.generation


async def test_its_text_is_known_from_then_on(store: TokenStore, clock: Clock) -> None:
    """The next holder of a lease learns it, if the replica that got the rejection has the token."""
    lease = await lease_of(store)
    token = lease.token(minted(clock), store.key_hash(KEY))
    await store.reject(KEY, lease.generation, 30.0, token.access_token.fingerprint())
    assert (await lease_of(store)).rejected == token.access_token.fingerprint()


async def test_such_rejections_are_spaced_as_all_are(store: TokenStore, clock: Clock) -> None:
    """Each may cost a mint."""
    token = await shared(store, clock)
    await store.reject(KEY, token.generation, 30.0)
    lease = await lease_of(store)
    rejection = await store.reject(KEY, lease.generation, 30.0)
    assert rejection.retry_after is not None
    assert isinstance(await store.commit(lease, minted(clock)), Token)


async def test_a_provisional_number_names_the_token_that_was_served_under_it(store: TokenStore, clock: Clock) -> None:
    """A caller got the token from a replica that had minted it in an outage."""
    token = await adopted(store, clock)
    assert await store.reject(KEY, token.served_as, 30.0) == current(token)
    assert await store.load([KEY]) == [None]
    assert await store.reject(KEY, token.served_as, 30.0) == current(token)


async def test_a_buggy_caller_cannot_burn_tokens(store: TokenStore, clock: Clock) -> None:
    """Too soon after the last rejection, the token is still served; the caller learns when to retry."""
    await store.reject(KEY, (await shared(store, clock)).generation, 30.0)
    token = await shared(store, clock)
    answer = await store.reject(KEY, token.generation, 30.0)
    assert answer.retry_after is not None
    assert 25.0 < answer.retry_after <= 30.0
    assert isinstance(await store.acquire(KEY, acquire_request()), Hit)


async def test_after_the_interval_it_may_be_rejected(store: TokenStore, clock: Clock) -> None:
    """A real fault is not held back for long."""
    await store.reject(KEY, (await shared(store, clock)).generation, 30.0)
    token = await shared(store, clock)
    answer = await eventually(
        lambda: store.reject(KEY, token.generation, 0.05), lambda answer: answer.retry_after is None
    )
    assert answer == current(token)


async def test_a_rejection_ends_the_mint_in_flight(store: TokenStore, clock: Clock) -> None:
    """Its lease ends, so that the next mint can begin at once."""
    token = await shared(store, clock)
    in_flight = await lease_of(store, newer_than=token.generation)
    await store.reject(KEY, token.generation, 30.0)
    assert await store.renew(in_flight) is None
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Lease)
    assert answer.generation > in_flight.generation


async def test_a_rejection_does_not_end_a_backoff(store: TokenStore, clock: Clock) -> None:
    """The issuer has said when to retry."""
    token = await shared(store, clock)
    await store.fail(
        await lease_of(store, newer_than=token.generation), Failure(Reason.ISSUER_THROTTLED, "slow_down"), 30.0
    )
    await store.reject(KEY, token.generation, 30.0)
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Backoff)
    assert answer.token is None


async def test_the_next_lease_knows_what_was_rejected(store: TokenStore, clock: Clock) -> None:
    """By its fingerprint, never by its text: an issuer that returns the same token again is detected."""
    token = await store.commit(await lease_of(store), minted(clock, "the-refused-text"))
    assert isinstance(token, Token)
    await store.reject(KEY, token.generation, 30.0)
    lease = await lease_of(store)
    assert lease.rejected == token.access_token.fingerprint()
    assert "the-refused-text" not in repr(lease)


async def test_so_does_its_repetition_after_a_lost_reply(store: TokenStore, clock: Clock) -> None:
    """The same nonce gets the same lease and the same fingerprint."""
    token = await shared(store, clock)
    await store.reject(KEY, token.generation, 30.0)
    first, again = await lease_of(store, nonce="mine"), await lease_of(store, nonce="mine")
    assert first.rejected == again.rejected == token.access_token.fingerprint()


async def test_without_a_rejection_a_lease_knows_of_none(store: TokenStore, clock: Clock) -> None:
    """Neither the first lease nor that of a refresh."""
    lease = await lease_of(store)
    await store.commit(lease, minted(clock))
    assert (lease.rejected, (await lease_of(store, newer_than=lease.generation)).rejected) == ("", "")


async def test_a_rejection_is_known_until_the_next(store: TokenStore, clock: Clock) -> None:
    """Neither a failure nor a success removes it; the next rejection replaces it."""
    first = await store.commit(await lease_of(store), minted(clock, "first"))
    assert isinstance(first, Token)
    await store.reject(KEY, first.generation, 0.0)
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
    second = await store.commit(await lease_of(store), minted(clock, "second"))
    assert isinstance(second, Token)
    assert (await lease_of(store, newer_than=second.generation)).rejected == first.access_token.fingerprint()
    await store.reject(KEY, second.generation, 0.0)
    assert (await lease_of(store)).rejected == second.access_token.fingerprint()
