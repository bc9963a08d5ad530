"""What the keys of an issuer share: if one finds it unavailable, the others wait."""

import pytest

from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Admitted, Backoff, Failure, TokenStore, Wait
from support.eventually import eventually

LIMITED = Failure(Reason.ISSUER_THROTTLED, "too_many_requests")


@pytest.fixture
def issuer(request: pytest.FixtureRequest) -> str:
    """One for each test."""
    return f"https://{request.node.name}.example.com/oauth/token"


async def admitted(store: TokenStore, issuer: str, nonce: str = "first") -> Admitted:
    """The POST may begin."""
    answer = await store.enter(issuer, nonce)
    assert isinstance(answer, Admitted), answer
    return answer


async def test_while_nothing_is_known_one_goes_alone(store: TokenStore, issuer: str) -> None:
    """The others wait for its result, for a second at most."""
    await admitted(store, issuer)
    answer = await store.enter(issuer, "second")
    assert isinstance(answer, Wait)
    assert 0.0 < answer.seconds <= 1.0


async def test_a_lost_reply_costs_nothing(store: TokenStore, issuer: str) -> None:
    """The same nonce may begin again."""
    await admitted(store, issuer)
    await admitted(store, issuer)


async def test_after_a_success_all_go(store: TokenStore, issuer: str) -> None:
    """For a limited time."""
    first = await admitted(store, issuer)
    assert not await store.learn(issuer, first, None, 0.0)
    for nonce in ("second", "third"):
        assert (await admitted(store, issuer, nonce)).failures == 0


async def test_after_one_failure_one_goes_alone(store: TokenStore, issuer: str) -> None:
    """The failure may have its cause in the key."""
    first = await admitted(store, issuer)
    assert not await store.learn(issuer, first, LIMITED, 30.0)
    assert (await admitted(store, issuer, "second")).failures == 1
    assert isinstance(await store.enter(issuer, "third"), Wait)


async def test_after_a_success_and_a_failure_one_goes_alone(store: TokenStore, issuer: str) -> None:
    """The success is older than the failure, however recent it is."""
    await store.learn(issuer, await admitted(store, issuer), None, 0.0)
    assert not await store.learn(issuer, await admitted(store, issuer, "second"), LIMITED, 30.0)
    assert (await admitted(store, issuer, "third")).failures == 1
    assert isinstance(await store.enter(issuer, "fourth"), Wait)


async def test_after_two_failures_all_wait_for_the_pause(store: TokenStore, issuer: str) -> None:
    """With the reason."""
    await _trouble(store, issuer)
    answer = await store.enter(issuer, "third")
    assert isinstance(answer, Backoff)
    assert (answer.failure, answer.token) == (LIMITED, None)
    assert 25.0 < answer.seconds <= 30.0


async def test_a_success_ends_the_pause(store: TokenStore, issuer: str) -> None:
    """For example of a POST that began before it."""
    await _trouble(store, issuer)
    await store.learn(issuer, Admitted("early", 0, 0), None, 0.0)
    assert (await admitted(store, issuer, "third")).failures == 0


async def test_after_the_pause_one_goes_alone(store: TokenStore, issuer: str) -> None:
    """After one more failure, all wait again."""
    await _trouble(store, issuer, pause=0.05)
    answer = await eventually(lambda: store.enter(issuer, "third"), lambda answer: isinstance(answer, Admitted))
    assert isinstance(answer, Admitted)
    assert isinstance(await store.enter(issuer, "fourth"), Wait)
    assert await store.learn(issuer, answer, LIMITED, 30.0)


async def test_a_failure_beside_a_success_is_the_keys_own(store: TokenStore, issuer: str) -> None:
    """Another key got a token after this POST began."""
    first = await admitted(store, issuer)
    await store.learn(issuer, first, None, 0.0)
    for number in range(3):
        assert not await store.learn(issuer, Admitted(f"early {number}", first.began - 1, 0), LIMITED, 30.0)
    await admitted(store, issuer, "second")


async def test_a_failure_that_is_reported_twice_counts_once(store: TokenStore, issuer: str) -> None:
    """The first reply was lost."""
    first = await admitted(store, issuer)
    assert not await store.learn(issuer, first, LIMITED, 30.0)
    assert not await store.learn(issuer, first, LIMITED, 30.0)
    assert (await admitted(store, issuer, "second")).failures == 1


async def test_a_failure_leaves_another_that_goes_alone_alone(store: TokenStore, issuer: str) -> None:
    """The first POST hung for so long that a second one began: the third waits for the second."""
    hung = await admitted(store, issuer)
    await eventually(lambda: store.enter(issuer, "second"), lambda answer: isinstance(answer, Admitted))
    assert not await store.learn(issuer, hung, LIMITED, 30.0)
    assert isinstance(await store.enter(issuer, "third"), Wait)


async def test_a_key_that_fails_twice_keeps_no_other_back(store: TokenStore, issuer: str) -> None:
    """Its failures may have their cause in the key, though there was no recent success."""
    assert not await store.learn(issuer, await admitted(store, issuer, "bad-1"), LIMITED, 30.0)
    assert await store.learn(issuer, await admitted(store, issuer, "bad-2"), LIMITED, 30.0)
    await admitted(store, issuer, "good-1")


async def test_keys_that_fail_while_others_succeed_keep_none_back(store: TokenStore, issuer: str) -> None:
    """After a success between their failures, these no longer count."""
    await _trouble(store, issuer, pause=0.05)
    await store.learn(issuer, Admitted("good-1", 0, 0), None, 0.0)
    for nonce in ("first-2", "second-2", "first-3", "second-3"):
        assert not await store.learn(issuer, await admitted(store, issuer, nonce), LIMITED, 30.0)
    assert (await admitted(store, issuer, "good-2")).failures == 0


async def test_a_key_that_succeeds_again_counts_again(store: TokenStore, issuer: str) -> None:
    """The issuer may be the cause of its next failure."""
    await _trouble(store, issuer, pause=0.05)
    await store.learn(issuer, Admitted("good-1", 0, 0), None, 0.0)
    for key in ("first", "second"):
        await store.learn(issuer, await admitted(store, issuer, f"{key}-2"), None, 0.0)
    assert not await store.learn(issuer, await admitted(store, issuer, "first-3"), LIMITED, 30.0)
    assert await store.learn(issuer, await admitted(store, issuer, "second-3"), LIMITED, 30.0)
    assert isinstance(await store.enter(issuer, "good-2"), Backoff)


async def test_after_the_pause_a_key_that_has_not_failed_goes_first(store: TokenStore, issuer: str) -> None:
    """Its result is more informative. The others wait a moment for it."""
    await _trouble(store, issuer, pause=0.05)
    answer = await eventually(lambda: store.enter(issuer, "first-2"), lambda answer: not isinstance(answer, Backoff))
    assert isinstance(answer, Wait)
    assert 0.0 < answer.seconds <= 0.25
    await admitted(store, issuer, "good-1")


async def test_issuers_know_nothing_of_each_other(store: TokenStore, issuer: str) -> None:
    """A failure of one issuer has no effect on another."""
    await _trouble(store, issuer)
    await admitted(store, f"{issuer}/another")


async def _trouble(store: TokenStore, issuer: str, pause: float = 30.0) -> None:
    first = await admitted(store, issuer, "first")
    assert not await store.learn(issuer, first, LIMITED, pause)
    second = await admitted(store, issuer, "second")
    assert await store.learn(issuer, second, LIMITED, pause)
