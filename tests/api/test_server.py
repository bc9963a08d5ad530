"""What listens, with which limits, and how a call's end looks from outside."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError, insecure_channel
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest as Asked
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionResponse

from mintonce.v1 import tokens_pb2, tokens_pb2_grpc, types_pb2
from mintonce_server.api.probe import dialable, health_of
from mintonce_server.api.server import Server
from mintonce_server.common.clock import SystemClock
from mintonce_server.core.broker import Broker
from mintonce_server.observability import logs
from support.faulty_issuer import Fault, FaultyIssuer
from support.house import AUDIENCE, CLIENT, House, calls_of, house
from support.options import listen_options

DEADLINE = 10.0
WANTED = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE))


def server_of(replica: House, listen: str = "127.0.0.1:0", *, reflection: bool = False) -> Server:
    """A second server for the broker of this replica."""
    options = listen_options(listen, reflection=reflection)
    return Server(replica.broker, calls_of(replica.broker), SystemClock(), options)


@pytest_asyncio.fixture
async def tokens(replica: House) -> AsyncIterator["tokens_pb2_grpc.TokenServiceAsyncStub"]:
    async with insecure_channel(replica.target) as channel:
        yield tokens_pb2_grpc.TokenServiceStub(channel)


async def test_a_message_over_the_limit_is_turned_away_and_the_next_call_is_served(
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub",
) -> None:
    """One request cannot fill the memory."""
    with pytest.raises(AioRpcError) as caught:
        await tokens.GetToken(
            tokens_pb2.GetTokenRequest(
                key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE, scopes=["x" * 250] * 300)
            ),
            timeout=DEADLINE,
        )
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await tokens.GetToken(WANTED, timeout=DEADLINE)).token.generation


async def test_metadata_over_the_limit_is_turned_away(tokens: "tokens_pb2_grpc.TokenServiceAsyncStub") -> None:
    """Headers count, too."""
    with pytest.raises(AioRpcError) as caught:
        await tokens.GetToken(WANTED, timeout=DEADLINE, metadata=(("x-padding", "x" * 40_000),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_deadline_that_comes_first_has_a_reason_and_the_mint_goes_on(
    issuer: FaultyIssuer, tokens: "tokens_pb2_grpc.TokenServiceAsyncStub"
) -> None:
    """The answer leaves a moment before the caller gives up; the next caller finds the token that was paid for."""
    issuer.fault = Fault(latency=1.0)
    with pytest.raises(AioRpcError) as caught:
        await tokens.GetToken(WANTED, timeout=0.5)
    details = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    info = ErrorInfo()
    Status.FromString(details).details[0].Unpack(info)
    assert (caught.value.code(), info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "WAIT_TIMED_OUT")
    assert (await tokens.GetToken(WANTED, timeout=DEADLINE)).token.generation
    assert issuer.posts == 1


async def test_a_fault_of_our_own_shows_the_caller_a_request_id_and_the_log_the_cause(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tokens: "tokens_pb2_grpc.TokenServiceAsyncStub",
) -> None:
    """grpc would send the exception's text; here nothing of it leaves."""

    def broken(*_: object) -> None:
        raise RuntimeError("internal canary")

    logs.configure("info", "json")
    monkeypatch.setattr(Broker, "peek", broken)
    with pytest.raises(AioRpcError) as caught:
        await tokens.GetToken(WANTED, timeout=DEADLINE, metadata=(("x-request-id", "r-7"),))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "canary" not in f"{caught.value!r} {caught.value.trailing_metadata()}"
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["event"], line["request_id"]) == ("internal_error", "r-7")
    assert "internal canary" in line["exception"]


async def test_a_taken_address_is_an_error_that_names_it(replica: House) -> None:
    """And nothing else is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = server_of(replica, listen)
        with pytest.raises(OSError, match=listen):
            server.bind()
        await server.stop(grace=0.0)


async def test_two_servers_do_not_share_a_port(replica: House) -> None:
    """A second process by mistake would take half of the calls."""
    first = server_of(replica)
    address = first.bind()
    second = server_of(replica, address)
    with pytest.raises(OSError, match=address):
        second.bind()
    for server in (first, second):
        await server.stop(grace=0.0)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("reflection", [True, False])
async def test_reflection_is_there_only_where_it_is_set(issuer: FaultyIssuer, reflection: bool, version: str) -> None:
    """It tells strangers what there is."""
    async with house(issuer.token_url) as replica:
        server = Server(
            replica.broker,
            calls_of(replica.broker),
            SystemClock(),
            listen_options("127.0.0.1:0", reflection=reflection),
        )
        target = server.bind()
        await server.start()
        async with insecure_channel(target) as channel:
            untyped = cast("Any", channel)  # calls without serializers have no types
            call = untyped.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")()
            await call.done_writing()
            code = await call.code()
        await server.stop(grace=0.0)
    assert (code is grpc.StatusCode.OK) is reflection


async def test_reflection_names_every_service_and_describes_each(issuer: FaultyIssuer) -> None:
    """Its own two versions, too: tools ask for the description of everything that is listed."""
    async with house(issuer.token_url) as replica:
        server = Server(
            replica.broker, calls_of(replica.broker), SystemClock(), listen_options("127.0.0.1:0", reflection=True)
        )
        target = server.bind()
        await server.start()
        async with insecure_channel(target) as channel:
            untyped = cast("Any", channel)  # as above
            call = untyped.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")()

            async def ask(request: Asked) -> ServerReflectionResponse:
                await call.write(request.SerializeToString())
                return ServerReflectionResponse.FromString(await call.read())

            listed = (await ask(Asked(list_services=""))).list_services_response.service
            answers = [await ask(Asked(file_containing_symbol=service.name)) for service in listed]
            await call.done_writing()
        await server.stop(grace=0.0)
    assert [service.name for service in listed] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "mintonce.v1.AdminService",
        "mintonce.v1.TokenService",
    ]
    assert all(answer.file_descriptor_response.file_descriptor_proto for answer in answers)


async def test_what_reflection_cannot_read_is_no_fault_of_ours(
    issuer: FaultyIssuer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The caller learns what it did, and the log has no traceback for it: any caller may ask, at any rate."""
    logs.configure("info", "json")
    async with house(issuer.token_url) as replica:
        server = Server(
            replica.broker, calls_of(replica.broker), SystemClock(), listen_options("127.0.0.1:0", reflection=True)
        )
        address = server.bind()
        await server.start()
        async with insecure_channel(address) as channel:
            untyped = cast("Any", channel)  # as above
            call = untyped.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")()
            await call.write(b"\xff\xff")
            code = await call.code()
        await server.stop(0.0)

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("0.0.0.0:50051", "127.0.0.1:50051"),
        ("[::]:50051", "[::1]:50051"),
        ("10.0.0.1:50051", "10.0.0.1:50051"),
        ("unix:/run/mintonce.sock", "unix:/run/mintonce.sock"),
    ],
)
def test_a_health_check_dials_what_the_server_listens_on(listen: str, expected: str) -> None:
    """A wildcard is not an address to call."""
    assert dialable(listen) == expected


async def test_no_answer_to_a_health_check_is_a_connection_error(tmp_path: Path) -> None:
    """Within its deadline."""
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(health_of, f"unix:{tmp_path / 'absent'}", 0.5)
