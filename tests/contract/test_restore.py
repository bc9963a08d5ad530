"""A token that the store lost or never received is restored by a replica that has it, by the rules of a commit."""

import asyncio
from dataclasses import replace

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Backoff, Failure, Hit, Lease, Refusal, TokenStore
from mintonce_server.core.token import Token
from support.samples import HASHER, KEY, OTHER, acquire_request, as_lease, lease_of, load_all, minted, shared


def lost(clock: Clock, generation: int, *, text: str = "lost", lifetime: float = 100.0, age: float = 0.0) -> Token:
    """A token that a replica has and the store does not know."""
    mint = minted(clock, text, lifetime=lifetime, age=age)
    return Token.of(mint, KEY, HASHER(KEY), generation, 1, clock.unix() - clock.monotonic())


async def stored(store: TokenStore) -> Token | None:
    (token,) = await load_all(store, [KEY])
    return token


async def test_an_empty_store_takes_it_back_as_it_was(store: TokenStore, clock: Clock) -> None:
    """Everything that the issuer said about it, under the same generation."""
    token = lost(clock, 1_700_000_000_000)
    assert isinstance(await store.restore(token), Token)
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Hit)
    found = answer.token
    assert (found.key, found.generation, found.access_token) == (KEY, token.generation, token.access_token)
    assert (found.token_type, found.scopes, found.lifetime) == ("Bearer", ("orders:read",), 100.0)
    assert found.credential_version == 1


async def test_its_life_is_not_made_longer(store: TokenStore, clock: Clock) -> None:
    """The remaining lifetime counts from its mint, except for the time to the store, and so does its refresh."""
    token = lost(clock, 7, lifetime=100.0, age=40.0)
    await store.restore(token)
    found = await stored(store)
    assert found
    assert abs(found.expires_at - token.expires_at) < 1.0
    assert abs(found.refresh_at - token.refresh_at) < 1.0
    assert abs(found.expiry_unix - token.expiry_unix) < 5.0


async def test_to_give_it_back_again_changes_nothing(store: TokenStore, clock: Clock) -> None:
    """Many replicas have the same token: one record, and each learns that it is there."""
    token = lost(clock, 7)
    answers = await asyncio.gather(*(store.restore(token) for _ in range(10)))
    assert {answer.generation for answer in answers if isinstance(answer, Token)} == {7}
    assert len([answer for answer in answers if isinstance(answer, Token)]) == 10


async def test_the_record_of_a_generation_is_not_rewritten(store: TokenStore, clock: Clock) -> None:
    """Only the first one writes it."""
    token = await shared(store, clock)
    await store.restore(lost(clock, token.generation, text="another text"))
    found = await stored(store)
    assert found
    assert found.access_token == token.access_token


async def test_a_newer_one_stays(store: TokenStore, clock: Clock) -> None:
    """A replica that was away has the previous token."""
    token = await shared(store, clock)
    assert await store.restore(lost(clock, token.generation - 1)) is Refusal.STALE
    assert await store.generations([KEY]) == [token.generation]


async def test_it_replaces_an_older_one(store: TokenStore, clock: Clock) -> None:
    """A failover brought the older one back."""
    older = await shared(store, clock)
    token = lost(clock, older.generation + 1)
    assert isinstance(await store.restore(token), Token)
    assert await store.generations([KEY]) == [token.generation]


async def test_what_was_rejected_stays_away(store: TokenStore, clock: Clock) -> None:
    """While the store remembers the rejection, all mints begun before it are refused."""
    token = await shared(store, clock)
    await store.reject(KEY, token.generation, 30.0)
    assert await store.restore(token) is Refusal.REJECTED
    assert await store.restore(replace(token, generation=token.generation - 1)) is Refusal.REJECTED
    assert await stored(store) is None


async def test_a_token_that_is_over_is_refused(store: TokenStore, clock: Clock) -> None:
    """No caller could use it."""
    assert await store.restore(lost(clock, 7, lifetime=5.0, age=6.0)) is Refusal.DEAD
    assert await stored(store) is None


async def test_a_token_of_replaced_credentials_is_refused(store: TokenStore, clock: Clock) -> None:
    """The secret may have been stolen, and its tokens with it."""
    token = await shared(store, clock, cv=2)
    assert await store.restore(lost(clock, token.generation + 1)) is Refusal.OLD_CREDENTIALS


async def test_what_was_rejected_is_refused_as_rejected_whatever_its_credentials(
    store: TokenStore, clock: Clock
) -> None:
    """With old credentials alone, a replica may keep its token. After a rejection it must not."""
    token = await shared(store, clock, cv=1)
    await store.reject(KEY, token.generation, 30.0)
    await store.acquire(KEY, acquire_request("newer", cv=2))
    assert await store.restore(token) is Refusal.REJECTED


async def test_it_brings_its_credential_version_back(store: TokenStore, clock: Clock) -> None:
    """An emptied store did not know the new secret: tokens of the old one are refused again."""
    assert isinstance(await store.restore(replace(lost(clock, 8), credential_version=2)), Token)
    assert await store.restore(lost(clock, 9)) is Refusal.OLD_CREDENTIALS
    assert isinstance(await store.acquire(KEY, acquire_request(cv=3)), Lease)


async def test_a_back_off_goes_on(store: TokenStore, clock: Clock) -> None:
    """An old token says nothing about the issuer's present state; waiting callers get it meanwhile."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_THROTTLED), 30.0)
    token = lost(clock, 7)
    await store.restore(token)
    answer = await store.acquire(KEY, acquire_request(newer_than=7))
    assert isinstance(answer, Backoff)
    assert (answer.failure.reason, answer.token and answer.token.generation) == (Reason.ISSUER_THROTTLED, 7)


async def test_the_count_of_failures_goes_on(store: TokenStore, clock: Clock) -> None:
    """The pauses continue to grow."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
    await store.restore(lost(clock, 7))
    assert (await lease_of(store, newer_than=7)).failures == 1


async def test_the_mint_of_another_goes_on(store: TokenStore, clock: Clock) -> None:
    """Its holder may have sent its POST: its commit is newer, and counts."""
    lease = await lease_of(store)
    await store.restore(lost(clock, lease.generation - 1))
    assert await store.renew(lease) is not None
    assert isinstance(await store.commit(lease, minted(clock, "newer")), Token)
    assert await store.generations([KEY]) == [lease.generation]


async def test_who_waits_for_its_own_commit_is_not_kept(store: TokenStore, clock: Clock) -> None:
    """The commit's reply was lost for good, and the token came by another way: its lease has ended."""
    lease = await lease_of(store)
    await store.restore(lost(clock, lease.generation))
    assert await store.renew(lease) is None


async def test_the_next_lease_is_newer(store: TokenStore, clock: Clock) -> None:
    """Generations rise, whatever the emptied store's clock says."""
    ahead = int((clock.unix() + 86_400.0) * 1_000_000)
    await store.restore(lost(clock, ahead))
    assert (await lease_of(store, newer_than=ahead)).generation > ahead


async def test_it_touches_no_other_key(store: TokenStore, clock: Clock) -> None:
    """Of another client, audience or scopes."""
    await store.restore(lost(clock, 7))
    loaded = await load_all(store, [OTHER, KEY])
    assert [token is not None for token in loaded] == [False, True]


async def test_a_restored_token_can_be_rejected(store: TokenStore, clock: Clock) -> None:
    """As any other, and the next holder of a lease learns the fingerprint of the rejected token."""
    token = lost(clock, 7)
    await store.restore(token)
    assert (await store.reject(KEY, 7, 30.0)).was_current
    assert as_lease(await store.acquire(KEY, acquire_request())).rejected == token.access_token.fingerprint()


@pytest.mark.parametrize("newer_than", [0, 7, 2**52])
async def test_a_lease_is_newer_than_all_that_its_holder_has_seen(store: TokenStore, newer_than: int) -> None:
    """Even if the store has lost it and its clock is behind."""
    assert (await lease_of(store, newer_than=newer_than)).generation > newer_than
