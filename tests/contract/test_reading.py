"""Reading tokens without touching leases."""

from mintonce_server.common.clock import Clock
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import TokenStore
from support.eventually import eventually
from support.samples import HASHER, KEY, OTHER, acquire_request, any_token, lease_of, load_all, minted, shared


async def test_tokens_are_loaded_in_the_order_of_their_keys(store: TokenStore, clock: Clock) -> None:
    """None for a missing token."""
    one, two = await shared(store, clock, KEY), await shared(store, clock, OTHER)
    absent = TokenKey.of("absent", "")
    loaded = await load_all(store, [OTHER, absent, KEY])
    assert [token and (token.key, token.generation) for token in loaded] == [
        (OTHER, two.generation),
        None,
        (KEY, one.generation),
    ]


async def test_a_loaded_token_has_the_same_times(store: TokenStore, clock: Clock) -> None:
    """As the minting replica sees them, except for the time to the store, and never later by the store's clock."""
    committed = await shared(store, clock)
    (loaded,) = await load_all(store, [KEY])
    assert loaded is not None
    assert abs(loaded.expires_at - committed.expires_at) < 1.0
    assert abs(loaded.refresh_at - committed.refresh_at) < 1.0
    assert loaded.expiry_unix == committed.expiry_unix


async def test_nothing_is_loaded_for_no_keys(store: TokenStore) -> None:
    """An empty fleet sends nothing."""
    assert await load_all(store, []) == []


async def test_a_lease_is_not_a_token(store: TokenStore) -> None:
    """A token that is being minted is not there yet."""
    await lease_of(store)
    assert await load_all(store, [KEY]) == [None]
    assert (await store.list("", 10, any_token)).tokens == []


async def test_generations_come_in_the_order_of_their_keys(store: TokenStore, clock: Clock) -> None:
    """0 for a missing token. Replicas compare these with their caches."""
    one, two = await shared(store, clock, KEY), await shared(store, clock, OTHER)
    absent = TokenKey.of("absent", "")
    assert await store.generations([OTHER, absent, KEY, OTHER]) == [
        two.generation,
        0,
        one.generation,
        two.generation,
    ]
    assert await store.generations([]) == []


async def test_generations_of_many_keys_are_told_at_once(store: TokenStore, clock: Clock) -> None:
    """As many as one reconciliation requests in one round trip, on any server of a Cluster."""
    keys = [TokenKey.of("billing", f"audience-{number}") for number in range(200)]
    tokens = [await shared(store, clock, key) for key in keys[::50]]
    told = await store.generations(keys)
    assert told[::50] == [token.generation for token in tokens]
    assert {found for found in told if found} == {token.generation for token in tokens}


async def test_a_generation_is_of_a_token_and_of_nothing_else(store: TokenStore, clock: Clock) -> None:
    """Not of a mint in progress, and not of a rejected token."""
    lease = await lease_of(store)
    assert await store.generations([KEY]) == [0]
    await store.commit(lease, minted(clock))
    assert await store.generations([KEY]) == [lease.generation]
    await store.acquire(KEY, acquire_request(newer_than=lease.generation))
    assert await store.generations([KEY]) == [lease.generation]
    await store.reject(KEY, lease.generation, 30.0)
    assert await store.generations([KEY]) == [0]


async def test_a_generation_is_known_as_long_as_its_token_lives(store: TokenStore, clock: Clock) -> None:
    """And no longer."""
    await shared(store, clock, lifetime=0.2)
    await eventually(lambda: store.generations([KEY]), lambda generations: generations == [0])


async def test_tokens_are_listed_by_client(store: TokenStore, clock: Clock) -> None:
    """Or all of them."""
    for key in (KEY, OTHER):
        await shared(store, clock, key)
    assert [token.key for token in (await store.list("billing", 10, any_token)).tokens] == [KEY]
    assert {token.key for token in (await store.list("", 10, any_token)).tokens} == {KEY, OTHER}


async def test_a_list_ends_at_its_limit(store: TokenStore, clock: Clock) -> None:
    """However many tokens there are."""
    for number in range(5):
        await shared(store, clock, TokenKey.of("billing", f"audience-{number}"))
    assert len((await store.list("", 3, any_token)).tokens) == 3


async def test_a_list_says_whether_there_is_more(store: TokenStore, clock: Clock) -> None:
    """Only then is it worth asking for more."""
    for key in (KEY, OTHER):
        await shared(store, clock, key)
    assert (await store.list("", 1, any_token)).truncated
    assert not (await store.list("", 2, any_token)).truncated


async def test_a_list_leaves_out_what_is_not_wanted_before_it_counts(store: TokenStore, clock: Clock) -> None:
    """Tokens of others neither take their places nor make the list seem longer than it is."""
    for number in range(5):
        await shared(store, clock, TokenKey.of("billing", f"audience-{number}"))
    wanted = await shared(store, clock, KEY)
    listing = await store.list("billing", 1, lambda token: token.key == KEY)
    assert [token.generation for token in listing.tokens] == [wanted.generation]
    assert not listing.truncated


async def test_the_store_names_keys_by_their_hash(store: TokenStore) -> None:
    """The same hash everywhere, which reveals nothing about the key."""
    assert store.key_hash(KEY) == HASHER(KEY)


async def test_a_store_that_is_well_answers(store: TokenStore) -> None:
    """A ping raises nothing."""
    await store.ping()
