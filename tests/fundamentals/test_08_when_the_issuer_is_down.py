"""8. The issuer is in trouble: live tokens are served to their true end, and the fleet asks it hardly at all."""

import asyncio

import grpc
import pytest

from mintonce import MintonceError, Refused, Token, Unavailable
from mintonce_server.core import token
from support.faulty_issuer import Fault
from support.fleet import Fleet


async def test_a_live_token_is_served_to_its_true_end(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call succeeds; the last ones are marked. Only then comes an error."""
    # Marked from the half of its life on, not only in the last twentieth: a busy machine skips a tenth of a second.
    monkeypatch.setattr(token, "EXPIRY_MARGIN_SHARE", 0.5)
    fleet.issuer.lifetime = 2.0
    replica = await fleet.replica()
    first = await replica.get()
    fleet.issuer.fault = Fault(status=500)
    got: list[Token] = []

    async def ask_on_and_on() -> None:
        while True:
            got.append(await replica.get())
            await asyncio.sleep(0.005)

    with pytest.raises(Unavailable) as caught:
        await ask_on_and_on()
    assert not first.is_live
    assert {each.access_token for each in got} == {first.access_token}
    assert got[-1].degraded
    assert not got[0].degraded
    assert caught.value.reason == "ISSUER_UNAVAILABLE"


async def test_a_key_without_a_token_is_unavailable_and_says_when_to_try_again(fleet: Fleet) -> None:
    """gRPC's UNAVAILABLE with RetryInfo and a remedy for a person."""
    fleet.issuer.fault = Fault(status=502)
    replica = await fleet.replica()
    with pytest.raises(Unavailable) as caught:
        await replica.get()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert caught.value.retry_after
    assert caught.value.remedy


async def test_one_failure_is_shared_by_the_fleet(fleet: Fleet) -> None:
    """Sixty callers at three replicas, while the back-off lasts: one POST."""
    fleet.issuer.fault = Fault(status=503, retry_after="20")
    replicas = await fleet.replicas(3)
    answers = await asyncio.gather(*(replicas[n % 3].get() for n in range(60)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert fleet.issuer.posts == 1


async def test_a_refusal_carries_the_issuers_own_code(fleet: Fleet) -> None:
    """A wrong secret is not an outage: it stays wrong until a person fixes it."""
    replica = await fleet.replica(secret="not-the-secret")
    with pytest.raises(Refused) as caught:
        await replica.get()
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (caught.value.reason, caught.value.issuer_error) == ("ISSUER_REFUSED", "access_denied")
    assert "client_id and the secret" in caught.value.remedy
    with pytest.raises(Refused):
        await replica.get()
    assert fleet.issuer.posts == 1


async def test_a_rate_limit_is_obeyed_by_the_whole_fleet(fleet: Fleet) -> None:
    """Retry-After says how long; there is no request before."""
    fleet.issuer.fault = Fault(status=429, retry_after="17")
    for replica in await fleet.replicas(2):
        with pytest.raises(MintonceError) as caught:
            await replica.get()
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.retry_after
        assert 15.0 < caught.value.retry_after <= 17.0
    assert fleet.issuer.posts == 1


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>it works</html>",
        "[]",
        '{"access_token": 7}',
        '{"access_token": "x\\n", "expires_in": 60}',
        "{" * 999,
    ],
)
async def test_garbage_is_an_error_and_never_a_token(fleet: Fleet, body: str) -> None:
    """Whatever the status says."""
    fleet.issuer.fault = Fault(status=200, body=body)
    replica = await fleet.replica()
    with pytest.raises(Unavailable) as caught:
        await replica.get()
    assert caught.value.reason == "ISSUER_MALFORMED"
    assert not (await replica.client.list_tokens()).tokens


async def test_the_next_request_comes_when_its_time_has_come(fleet: Fleet) -> None:
    """The first success ends it for all."""
    fleet.issuer.fault = Fault(status=503, retry_after="1", times=1)
    one, other = await fleet.replicas(2)
    with pytest.raises(Unavailable):
        await one.get(timeout=0.5)

    async def ask_until_it_works() -> Token:
        while True:
            try:
                return await other.get()
            except Unavailable:
                await asyncio.sleep(0.05)

    minted = await ask_until_it_works()
    assert (await one.get()).access_token == minted.access_token
    assert fleet.issuer.posts == 2


async def test_a_deadline_says_that_the_mint_goes_on(fleet: Fleet) -> None:
    """The caller gave up; the token is there for the next one."""
    fleet.issuer.fault = Fault(latency=1.0, times=1)
    replica = await fleet.replica()
    with pytest.raises(Unavailable) as caught:
        await replica.get(timeout=0.3)
    assert caught.value.reason == "WAIT_TIMED_OUT"
    assert (await replica.get()).is_live
    assert fleet.issuer.posts == 1
