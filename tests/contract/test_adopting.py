"""A token that was minted without the store gets a generation from the store."""

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Backoff, Failure, Hit, TokenStore, Wait
from support.samples import KEY, acquire_request, adopted, as_lease, lease_of, minted, shared


async def test_the_number_is_above_the_provisional_one_and_all_others(store: TokenStore, clock: Clock) -> None:
    """Watches of all replicas continue with it."""
    before = await shared(store, clock)
    token = await adopted(store, clock)
    assert token.generation > max(token.served_as, before.generation)
    assert [found and found.served_as for found in await store.load([KEY]) if not isinstance(found, Exception)] == [
        token.served_as
    ]


async def test_a_back_off_is_no_hindrance(store: TokenStore, clock: Clock) -> None:
    """The issuer is not called. Its back-off still applies to mints."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_THROTTLED), 30.0)
    await adopted(store, clock)
    assert isinstance(await store.acquire(KEY, acquire_request(newer_than=2**52)), Backoff)


async def test_a_newer_token_of_the_fleet_is_taken_instead(store: TokenStore, clock: Clock) -> None:
    """Two replicas minted in an outage: the fleet settles on one of the two tokens."""
    token = await adopted(store, clock)
    answer = await store.acquire(KEY, acquire_request(newer_than=token.generation - 1, adopt=True))
    assert isinstance(answer, Hit)


async def test_another_replicas_lease_comes_first(store: TokenStore, clock: Clock) -> None:
    """Its token, or the next attempt, settles which token counts."""
    await lease_of(store)
    assert isinstance(await store.acquire(KEY, acquire_request(adopt=True)), Wait)


async def test_the_lease_of_an_adoption_is_known_by_its_nonce(store: TokenStore) -> None:
    """A lost reply costs nothing."""
    first = as_lease(await store.acquire(KEY, acquire_request("mine", adopt=True)))
    assert as_lease(await store.acquire(KEY, acquire_request("mine", adopt=True))).generation == first.generation


async def test_a_lease_names_the_live_token_and_its_life(store: TokenStore, clock: Clock) -> None:
    """So an issuer that repeats its token is recognized."""
    token = await shared(store, clock, lifetime=100.0)
    lease = await lease_of(store, newer_than=token.generation)
    assert lease.current == token.access_token.fingerprint()
    assert 90.0 < lease.current_left <= 100.0


async def test_a_back_off_for_the_time_of_a_token_ends_with_the_token(store: TokenStore, clock: Clock) -> None:
    """The issuer repeats the token while it is live. Once it is rejected, there is a reason to mint again."""
    token = await shared(store, clock)
    lease = await lease_of(store, newer_than=token.generation)
    await store.fail(lease, Failure(Reason.ISSUER_MALFORMED, while_live=True), 90.0)
    answer = await store.acquire(KEY, acquire_request(newer_than=token.generation))
    assert isinstance(answer, Backoff)
    assert answer.token is not None
    await store.reject(KEY, token.generation, 30.0)
    assert as_lease(await store.acquire(KEY, acquire_request())).rejected == token.access_token.fingerprint()


async def test_a_token_that_repeats_a_rejected_one_says_so(store: TokenStore, clock: Clock) -> None:
    """Every replica then serves it as degraded, including those that start later."""
    token = await shared(store, clock)
    await store.reject(KEY, token.generation, 30.0)
    await store.commit(await lease_of(store), minted(clock))
    assert [found and found.reissued for found in await store.load([KEY]) if not isinstance(found, Exception)] == [True]
