"""A minted token counts only if its generation is the newest and not rejected."""

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Failure, Hit, Lease, Refusal, TokenStore
from mintonce_server.core.token import Token
from support.eventually import eventually
from support.samples import KEY, acquire_request, as_lease, lease_of, load_all, minted, shared


async def _next_lease(store: TokenStore, *, cv: int = 1) -> Lease:
    """After the present one expired."""
    ask = acquire_request("the next", cv=cv)
    return as_lease(await eventually(lambda: store.acquire(KEY, ask), lambda answer: isinstance(answer, Lease)))


async def _current(store: TokenStore) -> int:
    (token,) = await load_all(store, [KEY])
    return token.generation if token else 0


async def test_a_commit_ends_the_lease(store: TokenStore, clock: Clock) -> None:
    """The next mint can begin at once."""
    token = await shared(store, clock)
    assert isinstance(await store.acquire(KEY, acquire_request(newer_than=token.generation)), Lease)


async def test_a_commit_after_a_lost_reply_gives_the_same_answer(store: TokenStore, clock: Clock) -> None:
    """The same generation again is not refused."""
    lease, mint = await lease_of(store), minted(clock)
    first, again = await store.commit(lease, mint), await store.commit(lease, mint)
    assert isinstance(first, Token)
    assert isinstance(again, Token)
    assert (again.generation, again.access_token) == (first.generation, first.access_token)


async def test_a_late_commit_does_not_replace_a_newer_token(hasty: TokenStore, store: TokenStore, clock: Clock) -> None:
    """A holder that was stopped past its lease comes too late."""
    stopped = await lease_of(hasty)
    newer = await _next_lease(store)
    await store.commit(newer, minted(clock, "newer"))
    assert await hasty.commit(stopped, minted(clock, "late")) is Refusal.STALE
    assert await _current(store) == newer.generation


async def test_a_late_commit_counts_while_nothing_newer_is_there(
    hasty: TokenStore, store: TokenStore, clock: Clock
) -> None:
    """Its token is as good as any; the newer mint replaces it."""
    stopped = await lease_of(hasty)
    newer = await _next_lease(store)
    assert isinstance(await hasty.commit(stopped, minted(clock, "late")), Token)
    assert isinstance(await store.commit(newer, minted(clock, "newer")), Token)
    assert await _current(store) == newer.generation


async def test_a_late_commit_leaves_the_lease_of_another_alone(
    hasty: TokenStore, store: TokenStore, clock: Clock
) -> None:
    """Only the lease of its own generation ends."""
    stopped = await lease_of(hasty)
    newer = await _next_lease(store)
    await hasty.commit(stopped, minted(clock))
    assert await store.renew(newer) is not None


async def test_what_was_minted_before_a_reject_is_refused(store: TokenStore, clock: Clock) -> None:
    """A refresh in progress may have the same fault: the barrier covers it, and its lease ends."""
    token = await shared(store, clock)
    in_flight = await lease_of(store, newer_than=token.generation)
    await store.reject(KEY, token.generation, 30.0)
    assert await store.commit(in_flight, minted(clock)) is Refusal.REJECTED
    assert isinstance(await store.acquire(KEY, acquire_request()), Lease)


async def test_a_token_of_an_old_secret_is_refused(hasty: TokenStore, store: TokenStore, clock: Clock) -> None:
    """As soon as a token was minted with the new one."""
    old = await lease_of(hasty, cv=1)
    await _next_lease(store, cv=2)
    assert await hasty.commit(old, minted(clock)) is Refusal.OLD_CREDENTIALS


async def test_a_token_that_is_over_already_is_refused(store: TokenStore, clock: Clock) -> None:
    """Its lease ends nevertheless, so that no caller waits in vain."""
    lease = await lease_of(store)
    assert await store.commit(lease, minted(clock, lifetime=5.0, age=6.0)) is Refusal.DEAD
    assert isinstance(await store.acquire(KEY, acquire_request()), Lease)


async def test_a_commit_forgets_the_failures_before_it(store: TokenStore, clock: Clock) -> None:
    """The count of failures starts again at zero, and the back-off ends."""
    await store.fail(await lease_of(store), Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
    lease = await lease_of(store)
    assert lease.failures == 1
    token = await store.commit(lease, minted(clock))
    assert isinstance(token, Token)
    assert (await lease_of(store, newer_than=token.generation)).failures == 0


async def test_a_token_is_nowhere_in_the_repr(store: TokenStore, clock: Clock) -> None:
    """What the store returns can be printed."""
    token = await store.commit(await lease_of(store), minted(clock, "the-secret-text"))
    hit = await store.acquire(KEY, acquire_request())
    assert isinstance(hit, Hit)
    assert "the-secret-text" not in repr([token, hit, await load_all(store, [KEY])])
