"""The RPCs over a real channel: a broker on a store in memory, and a practice issuer over HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError, insecure_channel

from mintonce.v1 import admin_pb2, admin_pb2_grpc, tokens_pb2, tokens_pb2_grpc, types_pb2
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.api.probe import health_of
from support.house import AUDIENCE, CLIENT, House, house

DEADLINE = 10.0


@pytest_asyncio.fixture
async def channel(replica: House) -> AsyncIterator[grpc.aio.Channel]:
    async with insecure_channel(replica.target) as opened:
        yield opened


@pytest.fixture
def tokens(channel: grpc.aio.Channel) -> "tokens_pb2_grpc.TokenServiceAsyncStub":
    return tokens_pb2_grpc.TokenServiceStub(channel)


@pytest.fixture
def admin(channel: grpc.aio.Channel) -> "admin_pb2_grpc.AdminServiceAsyncStub":
    return admin_pb2_grpc.AdminServiceStub(channel)


def wanted(audience: str = AUDIENCE, client: str = CLIENT) -> tokens_pb2.GetTokenRequest:
    return tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=client, audience=audience))


def info_of(error: AioRpcError) -> ErrorInfo:
    """The google.rpc.ErrorInfo of a failed call."""
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    info = ErrorInfo()
    Status.FromString(details).details[0].Unpack(info)
    return info


async def test_the_first_call_mints_and_the_next_reads_memory(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub", issuer: PracticeIssuer
) -> None:
    """Same generation, same text, one POST; the origin tells the difference."""
    first = (await tokens.GetToken(wanted(), timeout=DEADLINE)).token
    second = (await tokens.GetToken(wanted(), timeout=DEADLINE)).token
    assert (first.origin, second.origin) == (types_pb2.ORIGIN_MINT, types_pb2.ORIGIN_MEMORY)
    assert (first.generation, first.access_token) == (second.generation, second.access_token)
    assert issuer.posts == 1


async def test_an_answer_says_what_is_left_and_when_to_ask_again(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub",
) -> None:
    """As durations, since callers' clocks may be wrong."""
    token = (await tokens.GetToken(wanted(), timeout=DEADLINE)).token
    assert 3590 < token.expires_in.seconds <= 3600
    assert 3600 - 360 <= token.refresh_in.seconds + 10 < token.expires_in.seconds
    assert token.token_type == "Bearer"
    assert not token.degraded


async def test_scopes_in_any_order_are_the_same_key(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub", issuer: PracticeIssuer
) -> None:
    """Sorted, without repetition."""
    for scopes in (["read", "write"], ["write", "read", "write"]):
        request = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE, scopes=scopes))
        assert (await tokens.GetToken(request, timeout=DEADLINE)).token.scopes == ["read", "write"]
    assert issuer.posts == 1


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (wanted(client="unknown"), grpc.StatusCode.NOT_FOUND, "UNKNOWN_CLIENT"),
        (wanted(client="no/body"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (wanted(audience="two  spaces"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (wanted(audience="a" * 1025), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (
            tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE, scopes=['quo"te'])),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
        ),
        (tokens_pb2.GetTokenRequest(), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    ],
)
async def test_a_bad_request_learns_what_is_wrong_and_costs_nothing(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub",
    issuer: PracticeIssuer,
    request_: tokens_pb2.GetTokenRequest,
    code: grpc.StatusCode,
    reason: str,
) -> None:
    """The remedy is for a person; the request id finds the log line."""
    with pytest.raises(AioRpcError) as caught:
        await tokens.GetToken(request_, timeout=DEADLINE, metadata=(("x-request-id", "r-42"),))
    info = info_of(caught.value)
    assert (caught.value.code(), info.reason) == (code, reason)
    assert info.metadata["remedy"]
    assert info.metadata["request_id"] == "r-42"
    assert issuer.posts == 0


async def test_an_audience_that_the_client_may_not_have_is_denied(issuer: PracticeIssuer) -> None:
    """Before anything is looked up."""
    async with (
        house(issuer.token_url, audiences=frozenset({"https://other.example.com/"})) as replica,
        insecure_channel(replica.target) as channel,
    ):
        with pytest.raises(AioRpcError) as caught:
            await tokens_pb2_grpc.TokenServiceStub(channel).GetToken(wanted(), timeout=DEADLINE)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert issuer.posts == 0


async def test_a_watch_sends_the_token_at_once_and_its_successor_when_it_is_there(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub", admin: "admin_pb2_grpc.AdminServiceAsyncStub"
) -> None:
    """No caller polls."""
    watch = tokens.WatchToken(
        tokens_pb2.WatchTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE)), timeout=DEADLINE
    )
    answers = aiter(watch)
    first = (await anext(answers)).token
    rotation = await admin.RotateToken(
        admin_pb2.RotateTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE)), timeout=DEADLINE
    )
    second = (await anext(answers)).token
    assert (rotation.previous_generation, rotation.generation) == (first.generation, second.generation)
    watch.cancel()


async def test_a_rejected_token_is_replaced_once_whatever_many_callers_say(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub", issuer: PracticeIssuer
) -> None:
    """A reject mints nothing by itself; the next call does, for all."""
    first = (await tokens.GetToken(wanted(), timeout=DEADLINE)).token
    request = tokens_pb2.RejectTokenRequest(
        key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE), generation=first.generation
    )
    await asyncio.gather(*(tokens.RejectToken(request, timeout=DEADLINE) for _ in range(20)))
    assert issuer.posts == 1
    answers = await asyncio.gather(*(tokens.GetToken(wanted(), timeout=DEADLINE) for _ in range(20)))
    assert len({answer.token.access_token for answer in answers} - {first.access_token}) == 1
    assert issuer.posts == 2


async def test_a_token_can_be_rejected_by_its_fingerprint(tokens: "tokens_pb2_grpc.TokenServiceAsyncStub") -> None:
    """For callers that know only the text: its SHA-256 names it."""
    first = (await tokens.GetToken(wanted(), timeout=DEADLINE)).token
    fingerprint = hashlib.sha256(first.access_token.encode()).digest()

    async def reject(sha256: bytes) -> bool:
        request = tokens_pb2.RejectTokenRequest(
            key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE), access_token_sha256=sha256
        )
        return (await tokens.RejectToken(request, timeout=DEADLINE)).was_current

    assert not await reject(b"\0" * 32)
    assert await reject(fingerprint)
    assert (await tokens.GetToken(wanted(), timeout=DEADLINE)).token.generation > first.generation


async def test_a_second_reject_within_the_interval_is_turned_away_and_the_token_goes_on(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub", issuer: PracticeIssuer
) -> None:
    """One caller in a loop must neither use up the quota nor take the token from the others."""

    async def reject(generation: int) -> None:
        request = tokens_pb2.RejectTokenRequest(
            key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE), generation=generation
        )
        await tokens.RejectToken(request, timeout=DEADLINE)

    first = (await tokens.GetToken(wanted(), timeout=DEADLINE)).token.generation
    await reject(first)
    second = (await tokens.GetToken(wanted(), timeout=DEADLINE)).token.generation
    with pytest.raises(AioRpcError) as caught:
        await reject(second)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info_of(caught.value).reason == "ROTATION_TOO_SOON"
    assert (await tokens.GetToken(wanted(), timeout=DEADLINE)).token.generation == second
    assert issuer.posts == 2


async def test_the_list_names_live_tokens_and_never_shows_their_text(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub", admin: "admin_pb2_grpc.AdminServiceAsyncStub"
) -> None:
    """Sorted; cut at the page size, and says so."""
    texts = [
        (await tokens.GetToken(wanted(audience), timeout=DEADLINE)).token.access_token for audience in ("b", "a", "c")
    ]
    listed = await admin.ListTokens(admin_pb2.ListTokensRequest(), timeout=DEADLINE)
    assert [summary.key.audience for summary in listed.tokens] == ["a", "b", "c"]
    assert listed.next_page_token == ""
    assert not listed.incomplete
    assert not any(text in str(listed) for text in texts)
    page = await admin.ListTokens(admin_pb2.ListTokensRequest(page_size=2), timeout=DEADLINE)
    assert len(page.tokens) == 2
    assert page.next_page_token


async def test_draining_ends_watches_so_that_clients_go_elsewhere_and_health_says_so(
    replica: House, tokens: "tokens_pb2_grpc.TokenServiceAsyncStub"
) -> None:
    """UNAVAILABLE is what clients retry on another replica."""

    async def health() -> str:
        return await asyncio.to_thread(health_of, replica.target, DEADLINE, "mintonce.v1.TokenService")

    assert await health() == "SERVING"
    answers = aiter(
        tokens.WatchToken(
            tokens_pb2.WatchTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE)), timeout=DEADLINE
        )
    )
    await anext(answers)
    await replica.server.drain()
    assert await health() == "NOT_SERVING"
    replica.broker.drain()
    with pytest.raises(AioRpcError) as caught:
        await anext(answers)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert info_of(caught.value).reason == "DRAINING"
