"""The practice issuer of the tests, which can be told to have faults."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from mintonce_server.core.secret import Secret
from support.faulty_issuer import NONE, Fault, FaultyIssuer
from support.surroundings import claims
from support.waiting import wait_until

AUDIENCE = "https://api.example.com/"
SECRET = "s3cret-of-c"
GOOD = {"audience": AUDIENCE, "grant_type": "client_credentials", "client_id": "c", "client_secret": SECRET}


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer({"c": Secret(SECRET)}) as running:
        yield running


def post(issuer: FaultyIssuer, **change: str) -> httpx.Response:
    return httpx.post(issuer.token_url, json=GOOD | change, trust_env=False)


def test_faults_by_http_last_for_as_many_posts_as_said(issuer: FaultyIssuer) -> None:
    """And count in the log, with their status."""
    set_ = httpx.put(issuer.url + "/fault", json={"status": 503, "retry_after": "9", "times": 1}, trust_env=False)
    assert set_.status_code == 200
    answer = post(issuer)
    assert (answer.status_code, answer.headers["retry-after"], answer.content) == (503, "9", b"")
    assert post(issuer).status_code == 200
    assert [one.status for one in issuer.log()] == [503, 200]
    assert issuer.minted == 1


@pytest.mark.parametrize(
    ("stated", "sent", "lives"),
    [("", None, 86_400), ('"60"', "60", 86_400), ("7", 7, 7), ("NaN", "nan", 86_400), ("true", True, 86_400)],
)
def test_expires_in_can_be_anything(issuer: FaultyIssuer, stated: str, sent: object, lives: int) -> None:
    """And where it is a number, the token agrees with it."""
    issuer.fault = Fault(expires_in=stated)
    fields = post(issuer).json()
    assert (str(fields.get("expires_in")) if sent == "nan" else fields.get("expires_in")) == sent
    assert claims(fields["access_token"])["exp"] - claims(fields["access_token"])["iat"] == lives


def test_it_can_give_the_same_token_again(issuer: FaultyIssuer) -> None:
    """As an OAuth domain that caches does; to the same audience only."""
    first = post(issuer).json()["access_token"]
    issuer.fault = Fault(repeat=True)
    assert post(issuer).json()["access_token"] == first
    assert post(issuer, audience="https://other.example.com/").json()["access_token"] != first
    assert len({one.jti for one in issuer.log()}) == 2


def test_audiences_can_have_faults_of_their_own(issuer: FaultyIssuer) -> None:
    """One each, beside that of all the others; they end by themselves or when they are told."""
    for audience, status in (("https://a-*", 500), ("https://b-*", 501)):
        fault = {"status": status, "audience": audience, "times": 2}
        assert httpx.put(issuer.url + "/fault", json=fault, trust_env=False).status_code == 200
    issuer.fault = Fault(status=503)

    def statuses() -> list[int]:
        return [
            post(issuer, audience=audience).status_code for audience in ("https://a-1", "https://b-1", "https://c-1")
        ]

    assert statuses() == [500, 501, 503]
    assert httpx.put(issuer.url + "/fault", json={"audience": "https://b-*"}, trust_env=False).status_code == 200
    assert [statuses(), statuses()] == [[500, 503, 503], [503, 503, 503]]


def test_it_can_grant_other_scopes_than_were_asked_for(issuer: FaultyIssuer) -> None:
    """In its answer and in the token, as issuers do that grant their defaults."""
    issuer.fault = Fault(scope="read admin:all")
    answer = post(issuer).json()
    assert (answer["scope"], claims(answer["access_token"])["scope"]) == ("read admin:all", "read admin:all")


def test_an_answer_can_be_padded_and_can_drip(issuer: FaultyIssuer) -> None:
    """A body larger than anybody reads, and one that takes for ever."""
    issuer.fault = Fault(padding=100_000)
    answer = post(issuer)
    assert len(answer.content) > 100_000
    assert answer.json()["expires_in"] == 86_400
    issuer.fault = Fault(status=503, body="abc", drip=0.01)
    assert post(issuer).text == "abc"
    issuer.fault = Fault(body="x" * 1000, drip=60.0)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(issuer.token_url, json=GOOD, timeout=0.1, trust_env=False)


@pytest.mark.parametrize("text", ["[]", '{"statsu": 500}', '{"status": "500"}', "{"])
def test_a_misspelt_fault_is_refused(issuer: FaultyIssuer, text: str) -> None:
    """A test that thinks it injects a fault should not pass by luck."""
    assert httpx.put(issuer.url + "/fault", content=text, trust_env=False).status_code == 400


async def test_those_that_hang_hold_up_no_other(issuer: FaultyIssuer) -> None:
    """However many they are."""
    issuer.fault = Fault(hang=True)
    async with httpx.AsyncClient(trust_env=False, timeout=30.0, limits=httpx.Limits()) as client:
        hanging = [asyncio.create_task(client.post(issuer.token_url, json=GOOD)) for _ in range(100)]
        await wait_until(lambda: issuer.posts == len(hanging), timeout=20.0)
        issuer.fault = NONE
        assert (await client.post(issuer.token_url, json=GOOD)).status_code == 200
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


def test_closing_ends_those_that_hang(issuer: FaultyIssuer) -> None:
    """Idle connections too: no thread outlives the issuer."""
    httpx.put(issuer.url + "/fault", json={"hang": True}, trust_env=False)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(issuer.token_url, json=GOOD, timeout=0.1, trust_env=False)
    idle = httpx.Client(trust_env=False)
    idle.get(issuer.url + "/posts")
    issuer.__exit__(None, None, None)
    with pytest.raises(httpx.TransportError):
        idle.get(issuer.url + "/posts")
    idle.close()
