"""A failed mint answers all callers for a while; only the holder can keep a lease."""

from dataclasses import replace

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Backoff, Failure, Lease, TokenStore, Wait
from support.eventually import eventually
from support.samples import KEY, acquire_request, as_lease, lease_of, shared

REFUSED = Failure(Reason.ISSUER_REFUSED, "invalid_client")
DOWN = Failure(Reason.ISSUER_UNAVAILABLE)


async def test_one_failure_answers_all(store: TokenStore) -> None:
    """No replica calls the issuer during the back-off."""
    await store.fail(await lease_of(store), REFUSED, 30.0)
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Backoff)
    assert (answer.failure, answer.token) == (REFUSED, None)
    assert 25.0 < answer.seconds <= 30.0


async def test_all_hear_whether_the_client_itself_was_refused(store: TokenStore) -> None:
    """Whatever the code: then it is the server's secret that is wrong, and not what the caller asked for."""
    of_client = Failure(Reason.ISSUER_REFUSED, "access_denied", of_client=True)
    await store.fail(await lease_of(store), of_client, 30.0)
    answer = await store.acquire(KEY, acquire_request())
    assert isinstance(answer, Backoff)
    assert answer.failure == of_client


async def test_after_the_backoff_a_replica_tries_again(store: TokenStore) -> None:
    """It knows how many mints failed in a row."""
    await store.fail(await lease_of(store), DOWN, 0.05)
    answer = await eventually(lambda: store.acquire(KEY, acquire_request()), lambda answer: isinstance(answer, Lease))
    assert as_lease(answer).failures == 1


async def test_failures_in_a_row_are_counted(store: TokenStore) -> None:
    """For the whole fleet: the back-off grows with them."""
    for expected in range(3):
        lease = await lease_of(store)
        assert lease.failures == expected
        await store.fail(lease, DOWN, 0.0)


async def test_trouble_of_the_issuer_does_not_count(store: TokenStore) -> None:
    """It is not the key's own failure. It still answers the callers."""
    await store.fail(await lease_of(store), replace(DOWN, of_issuer=True), 0.0)
    lease = await lease_of(store)
    assert lease.failures == 0
    await store.fail(lease, replace(DOWN, of_issuer=True), 30.0)
    assert isinstance(await store.acquire(KEY, acquire_request()), Backoff)


async def test_a_failure_told_twice_counts_once(store: TokenStore) -> None:
    """The lease ends the first time: a repetition after a lost reply does nothing."""
    lease = await lease_of(store)
    await store.fail(lease, DOWN, 0.0)
    await store.fail(lease, DOWN, 30.0)
    assert (await lease_of(store)).failures == 1


async def test_only_the_holder_can_end_a_lease_by_a_failure(hasty: TokenStore, store: TokenStore) -> None:
    """A holder that was stopped past its lease cannot record a failure."""
    stopped = await lease_of(hasty)
    ask = acquire_request("the next")
    answer = await eventually(lambda: store.acquire(KEY, ask), lambda answer: isinstance(answer, Lease))
    await hasty.fail(stopped, DOWN, 30.0)
    assert await store.renew(as_lease(answer)) is not None
    assert isinstance(await store.acquire(KEY, acquire_request()), Wait)


async def test_a_new_secret_clears_the_backoff(store: TokenStore) -> None:
    """The old secret may have been the cause; failures of the new one count from zero."""
    await store.fail(await lease_of(store, cv=1), REFUSED, 30.0)
    assert (await lease_of(store, cv=2)).failures == 0


async def test_a_new_secret_s_failure_holds_for_the_old_one_too(store: TokenStore) -> None:
    """Otherwise a replica with the old secret would keep calling the issuer."""
    await store.fail(await lease_of(store, cv=2), REFUSED, 30.0)
    assert isinstance(await store.acquire(KEY, acquire_request(cv=1)), Backoff)


async def test_a_live_token_is_served_through_a_backoff(store: TokenStore, clock: Clock) -> None:
    """A failed refresh has no effect on callers."""
    token = await shared(store, clock)
    await store.fail(await lease_of(store, newer_than=token.generation), DOWN, 30.0)
    assert not isinstance(await store.acquire(KEY, acquire_request()), Backoff)


async def test_a_lease_is_held_by_renewing_it(store: TokenStore) -> None:
    """A renewed lease ends later."""
    lease = await lease_of(store)
    renewed = await store.renew(lease)
    assert renewed is not None
    assert (renewed.generation, renewed.nonce) == (lease.generation, lease.nonce)
    assert renewed.expires_at > lease.expires_at


async def test_a_lapsed_lease_cannot_be_renewed(hasty: TokenStore) -> None:
    """Even if no other caller holds it yet."""
    lease = await lease_of(hasty)
    await eventually(lambda: hasty.acquire(KEY, acquire_request()), lambda answer: isinstance(answer, Lease))
    assert await hasty.renew(lease) is None


async def test_a_failed_lease_cannot_be_renewed(store: TokenStore) -> None:
    """It ended with the failure."""
    lease = await lease_of(store)
    await store.fail(lease, DOWN, 0.0)
    assert await store.renew(lease) is None


PROOF_REFUSED = Failure(Reason.ISSUER_REFUSED, "invalid_client", of_proof=True)


async def refused(store: TokenStore, proof: str, retry_after: float = 30.0) -> None:
    """A mint whose credential the issuer refused."""
    await store.fail(await lease_of(store, proof=proof), PROOF_REFUSED, retry_after)


async def test_a_refusal_holds_for_the_credential_that_was_refused(store: TokenStore) -> None:
    """A replica with another credential mints at once: a corrected secret works before the back-off ends."""
    await refused(store, "wrong")
    answer = await store.acquire(KEY, acquire_request(proof="wrong"))
    assert isinstance(answer, Backoff)
    assert (answer.failure, answer.token) == (REFUSED, None)
    assert 25.0 < answer.seconds <= 30.0
    assert isinstance(await store.acquire(KEY, acquire_request(proof="mended")), Lease)


async def test_refusals_of_two_credentials_hold_both(store: TokenStore) -> None:
    """While replicas have different ones, the issuer is called once for each, and not in turns for ever."""
    await refused(store, "old")
    await refused(store, "new")
    assert isinstance(await store.acquire(KEY, acquire_request(proof="old")), Backoff)
    assert isinstance(await store.acquire(KEY, acquire_request(proof="new")), Backoff)


async def test_other_trouble_holds_for_all_credentials(store: TokenStore) -> None:
    """An issuer that is down is down for a new secret, too."""
    await store.fail(await lease_of(store, proof="old"), Failure(Reason.ISSUER_UNAVAILABLE), 30.0)
    assert isinstance(await store.acquire(KEY, acquire_request(proof="new")), Backoff)


async def test_a_refusal_ends_in_time(store: TokenStore) -> None:
    """Then the same credential is tried again."""
    await refused(store, "wrong", retry_after=0.05)
    await eventually(
        lambda: store.acquire(KEY, acquire_request(proof="wrong")), lambda answer: isinstance(answer, Lease)
    )


async def test_a_live_token_is_shown_with_a_refusal(store: TokenStore, clock: Clock) -> None:
    """Callers get it meanwhile."""
    token = await shared(store, clock)
    await store.fail(await lease_of(store, newer_than=token.generation, proof="wrong"), PROOF_REFUSED, 30.0)
    answer = await store.acquire(KEY, acquire_request(newer_than=token.generation, proof="wrong"))
    assert isinstance(answer, Backoff)
    assert answer.token is not None
    assert answer.token.generation == token.generation
