"""TokenClient and AsyncTokenClient: what they send, what they make of the answer."""

import copy
import json
import pickle
import pprint
import threading
import traceback
from dataclasses import FrozenInstanceError, asdict
from datetime import UTC, datetime, timedelta
from time import monotonic

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from mintonce import (
    AsyncTokenClient,
    Closed,
    MintonceError,
    Origin,
    Refused,
    Token,
    TokenClient,
    Unavailable,
    Unreachable,
)
from mintonce.v1 import tokens_pb2, types_pb2
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer


def test_a_token_comes_with_its_life_on_the_callers_own_clock(server: ScriptedServer) -> None:
    """Remaining time is counted from before the call was sent, so that the expiry never comes late."""
    server.lifetime, server.refresh_in = 600.0, 500.0
    before = monotonic()
    with TokenClient(server.target) as client:
        token = client.get(CLIENT, AUDIENCE)
    assert before <= token.expires_at - 600.0 <= before + 0.1
    assert before <= token.refresh_at - 500.0 <= before + 0.1
    assert abs(token.expire_time - datetime.now(UTC) - timedelta(seconds=600)) < timedelta(seconds=5)
    assert (token.origin, token.degraded, token.scopes) == (Origin.MEMORY, False, ("read", "write"))
    assert token.header == "Bearer secret-101"


def test_a_slow_answer_shortens_the_life(server: ScriptedServer) -> None:
    """The time that an answer takes comes off the token's life, not on top of it."""
    gate = server.hold("GetToken")
    opener = threading.Timer(0.3, gate.set)
    opener.start()
    with TokenClient(server.target) as client:
        token = client.get(CLIENT, AUDIENCE)
    opener.join()
    assert token.expires_in() < server.lifetime - 0.25


def test_the_request_says_what_was_asked_for(server: ScriptedServer) -> None:
    """Scopes may be a list, or one string as RFC 6749 writes it."""
    with TokenClient(server.target) as client:
        client.get(CLIENT, AUDIENCE, "read write", min_ttl=90.5)
        client.get(CLIENT, AUDIENCE, ["read", "write"], min_ttl=timedelta(seconds=90.5))
    expected = tokens_pb2.GetTokenRequest(
        key=types_pb2.TokenKey(client=CLIENT, audience=AUDIENCE, scopes=["read", "write"])
    )
    expected.min_ttl.FromMilliseconds(90_500)
    assert server.requests == [expected, expected]


def test_a_refusal_says_why_and_what_to_do(server: ScriptedServer) -> None:
    """The server's reason, remedy, issuer error and request id arrive."""
    server.fail(
        "GetToken",
        grpc.StatusCode.FAILED_PRECONDITION,
        "ISSUER_REFUSED",
        remedy="Look at the secret.",
        issuer_error="invalid_client",
        request_id="r-1",
    )
    with TokenClient(server.target) as client, pytest.raises(Refused) as caught:
        client.get(CLIENT, AUDIENCE)
    error = caught.value
    assert (str(error), error.reason, error.remedy) == ("GetToken failed", "ISSUER_REFUSED", "Look at the secret.")
    assert (error.issuer_error, error.request_id, error.retry_after) == ("invalid_client", "r-1", None)
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "Look at the secret." in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "ISSUER_THROTTLED", Unavailable),
        (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "WAIT_TIMED_OUT", Unavailable),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", Refused),
        (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CLIENT", Refused),
        (grpc.StatusCode.INTERNAL, "INTERNAL", MintonceError),
        (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", Refused),
        (grpc.StatusCode.UNAUTHENTICATED, "", Refused),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", Unavailable),
        (grpc.StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE", Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", Unavailable),
        (grpc.StatusCode.FAILED_PRECONDITION, "ISSUER_REFUSED", Refused),
        (grpc.StatusCode.UNAVAILABLE, "NEW_IN_NEXT_YEARS_SERVER", Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "NEW_IN_NEXT_YEARS_SERVER", Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "NEW_IN_NEXT_YEARS_SERVER", Unavailable),
        (grpc.StatusCode.ABORTED, "NEW_IN_NEXT_YEARS_SERVER", Unavailable),
        (grpc.StatusCode.INVALID_ARGUMENT, "NEW_IN_NEXT_YEARS_SERVER", Refused),
        (grpc.StatusCode.NOT_FOUND, "NEW_IN_NEXT_YEARS_SERVER", Refused),
        (grpc.StatusCode.UNAUTHENTICATED, "NEW_IN_NEXT_YEARS_SERVER", Refused),
        (grpc.StatusCode.PERMISSION_DENIED, "NEW_IN_NEXT_YEARS_SERVER", Refused),
        (grpc.StatusCode.FAILED_PRECONDITION, "NEW_IN_NEXT_YEARS_SERVER", Refused),
        (grpc.StatusCode.INTERNAL, "NEW_IN_NEXT_YEARS_SERVER", MintonceError),
        (grpc.StatusCode.ABORTED, "", Unavailable),
        (grpc.StatusCode.DATA_LOSS, "", MintonceError),
    ],
)
def test_the_kind_of_an_error_says_whether_to_try_again(
    server: ScriptedServer, code: grpc.StatusCode, reason: str, kind: type[MintonceError]
) -> None:
    """Unavailable may pass, Refused will not. Of a reason that is newer than the client, the code says which."""
    server.fail("GetToken", code, reason, retry_after=1.5)
    with TokenClient(server.target) as client, pytest.raises(MintonceError) as caught:
        client.get(CLIENT, AUDIENCE)
    assert type(caught.value) is kind
    assert caught.value.retry_after == (1.5 if reason else None)


def test_details_that_are_not_google_rpc_count_as_not_said(server: ScriptedServer) -> None:
    """A proxy's garbage in the metadata costs the details, never the error itself."""
    server.fail("GetToken", grpc.StatusCode.INTERNAL)
    server._failures["GetToken"] = (grpc.StatusCode.INTERNAL, "x", (("grpc-status-details-bin", b"\xff\xff"),), 9)
    with TokenClient(server.target) as client, pytest.raises(MintonceError, match="INTERNAL without a reason"):
        client.get(CLIENT, AUDIENCE)


@pytest.mark.parametrize(("seconds", "kept"), [(2, 2.5), (-3, 0.0)])
def test_a_delay_counts_without_a_reason_and_is_never_negative(
    server: ScriptedServer, seconds: int, kept: float
) -> None:
    """A proxy may say when to come again, too."""
    status = Status(code=8)
    nanos = 500_000_000 if seconds > 0 else -500_000_000
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos)))
    packed = (("grpc-status-details-bin", status.SerializeToString()),)
    server._failures["GetToken"] = (grpc.StatusCode.RESOURCE_EXHAUSTED, "full", packed, 1)
    with TokenClient(server.target) as client, pytest.raises(Unavailable) as caught:
        client.get(CLIENT, AUDIENCE)
    assert (caught.value.reason, caught.value.retry_after) == ("RESOURCE_EXHAUSTED", kept)


def test_no_server_names_the_address_that_was_tried(server: ScriptedServer) -> None:
    """The commonest first mistake gets an answer of its own."""
    server.stop()
    with TokenClient(server.target) as client, pytest.raises(Unreachable) as caught:
        client.get(CLIENT, AUDIENCE)
    assert server.target in str(caught.value)
    assert "Is mintonced running" in caught.value.remedy


def test_a_call_that_is_not_answered_ends_at_its_deadline(server: ScriptedServer) -> None:
    """Every wait has an end."""
    server.hold("GetToken")
    with TokenClient(server.target, timeout=0.2) as client, pytest.raises(Unavailable) as caught:
        client.get(CLIENT, AUDIENCE)
    assert caught.value.reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_replica_that_goes_away_costs_a_retry_and_no_error(server: ScriptedServer, code: grpc.StatusCode) -> None:
    """The channel itself repeats the call; also one that a flooded server dropped unseen, which it calls CANCELLED."""
    server.fail("GetToken", code, times=2)
    with TokenClient(server.target) as client:
        assert client.get(CLIENT, AUDIENCE).generation == 101
    assert server.calls["GetToken"] == 3


def test_a_call_that_the_peer_cancels_again_and_again_is_no_closed_client(server: ScriptedServer) -> None:
    """Only `close` closes it."""
    server.fail("GetToken", grpc.StatusCode.CANCELLED, times=4)
    server.fail("WatchToken", grpc.StatusCode.CANCELLED, times=4)
    with TokenClient(server.target) as client:
        with pytest.raises(MintonceError) as from_get:
            client.get(CLIENT, AUDIENCE)
        with pytest.raises(MintonceError) as from_watch:
            next(client.watch(CLIENT, AUDIENCE))
        assert {(type(each.value), each.value.reason) for each in (from_get, from_watch)} == {
            (MintonceError, "CANCELLED")
        }
        assert client.get(CLIENT, AUDIENCE).generation == 101


def test_a_rotation_is_never_repeated(server: ScriptedServer) -> None:
    """Each RotateToken mints: a lost answer must not become two mints."""
    server.fail("RotateToken", grpc.StatusCode.UNAVAILABLE, "DRAINING")
    with TokenClient(server.target) as client, pytest.raises(Unavailable):
        client.rotate(CLIENT, AUDIENCE)
    assert server.calls["RotateToken"] == 1


def test_a_client_can_wait_for_a_server_that_is_not_there_yet(server: ScriptedServer) -> None:
    """wait_for_ready is for services that start together."""
    server.stop()
    starter = threading.Timer(0.3, server.start)
    starter.start()
    with TokenClient(server.target, wait_for_ready=True) as client:
        assert client.get(CLIENT, AUDIENCE).generation == 101
    starter.join()


def test_a_watch_gives_the_live_token_and_then_each_successor(server: ScriptedServer) -> None:
    """There is no second request: the successor is pushed."""
    with TokenClient(server.target) as client, client.watch(CLIENT, AUDIENCE) as tokens:
        assert next(tokens).generation == 101
        server.publish()
        assert next(tokens).generation == 102
    assert server.calls["WatchToken"] == 1


def test_a_slow_first_answer_shortens_the_life_in_a_watch_too(server: ScriptedServer) -> None:
    """The first token is counted from before the call was sent."""
    gate = server.hold("WatchToken")
    opener = threading.Timer(0.3, gate.set)
    opener.start()
    with TokenClient(server.target) as client, client.watch(CLIENT, AUDIENCE) as tokens:
        assert next(tokens).expires_in() < server.lifetime - 0.25
    opener.join()


def test_a_watch_that_another_thread_cancels_just_ends(server: ScriptedServer) -> None:
    """Cancelling is no error."""
    with TokenClient(server.target) as client:
        watch = client.watch(CLIENT, AUDIENCE)
        next(watch)
        watch.cancel()
        assert list(watch) == []


def test_reject_names_the_token_by_generation_or_fingerprint(server: ScriptedServer) -> None:
    """The text itself never travels back."""
    with TokenClient(server.target) as client:
        token = client.get(CLIENT, AUDIENCE)
        assert client.reject(CLIENT, AUDIENCE, token=token)
        assert not client.reject(CLIENT, AUDIENCE, fingerprint=token.fingerprint)
        with pytest.raises(ValueError, match="needs generation= or token="):
            client.reject(CLIENT, AUDIENCE)
    by_generation, by_fingerprint = server.requests[1:]
    assert isinstance(by_generation, tokens_pb2.RejectTokenRequest)
    assert isinstance(by_fingerprint, tokens_pb2.RejectTokenRequest)
    assert by_generation.generation == 101
    assert by_fingerprint.access_token_sha256 == token.fingerprint


def test_the_admin_calls(server: ScriptedServer) -> None:
    """ListTokens and RotateToken as values."""
    with TokenClient(server.target) as client:
        listed = client.list_tokens()
        rotation = client.rotate(CLIENT, AUDIENCE)
    assert listed.incomplete
    assert [(each.client, each.generation, each.expires_in) for each in listed.tokens] == [(CLIENT, 101, 3599.5)]
    assert (rotation.previous_generation, rotation.generation) == (101, 102)


def test_a_closed_client_says_so(server: ScriptedServer) -> None:
    """Not a ValueError out of gRPC."""
    client = TokenClient(server.target)
    client.close()
    with pytest.raises(Closed):
        client.get(CLIENT, AUDIENCE)


def test_the_environment_names_the_default_target(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """MINTONCE_TARGET, as for the CLI."""
    monkeypatch.setenv("MINTONCE_TARGET", server.target)
    with TokenClient() as client:
        assert client.get(CLIENT, AUDIENCE).generation == 101


def test_a_given_channel_stays_open(server: ScriptedServer) -> None:
    """Who opened it closes it."""
    with grpc.insecure_channel(server.target) as channel:
        for _ in range(2):
            with TokenClient(channel=channel) as client:
                client.get(CLIENT, AUDIENCE)


def test_nothing_shows_the_token(server: ScriptedServer) -> None:
    """repr, str, format and errors are masked; fields and copies of them have no text."""
    with TokenClient(server.target) as client:
        token = client.get(CLIENT, AUDIENCE)
    assert "secret" not in f"{token} {token!r} {token!s} {[token]} {token.fingerprint!r}"
    told = asdict(token)
    assert told["generation"] == token.generation
    assert "secret" not in json.dumps(told, default=str)
    assert "secret" not in pprint.pformat(token)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps({"token": token})


def test_a_token_is_a_value(server: ScriptedServer) -> None:
    """Equal by all that the server said, and the same when it is copied."""
    with TokenClient(server.target) as client:
        token, later = client.get(CLIENT, AUDIENCE), client.get(CLIENT, AUDIENCE)
    assert copy.copy(token) is token
    assert copy.deepcopy([token])[0] is token
    assert token != later  # another life
    values = asdict(token)
    same, other = (Token(access_token=text, **values) for text in (token.access_token, "another"))
    assert (same == token, hash(same) == hash(token)) == (True, True)
    assert other != token
    with pytest.raises(FrozenInstanceError):
        token.generation = 7  # type: ignore[misc]


def test_errors_travel_between_processes(server: ScriptedServer) -> None:
    """Worker pools pickle exceptions."""
    server.fail("GetToken", grpc.StatusCode.NOT_FOUND, "UNKNOWN_CLIENT", remedy="Register it.")
    with TokenClient(server.target) as client, pytest.raises(Refused) as caught:
        client.get(CLIENT, AUDIENCE)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (copied.reason, copied.remedy, copied.code) == ("UNKNOWN_CLIENT", "Register it.", grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize("reason", ["UNKNOWN_CLIENT", ""])
def test_a_traceback_shows_no_text_of_the_peer_as_it_came(server: ScriptedServer, reason: str) -> None:
    """It could obey a terminal's escapes, forge lines of a log, or quote anything."""
    said = "secret \x1b[31mred\nforged line"
    for method in ("GetToken", "WatchToken"):
        server.fail(method, grpc.StatusCode.INTERNAL, reason, message=said)
    with TokenClient(server.target) as client, pytest.raises(MintonceError) as got:
        client.get(CLIENT, AUDIENCE)
    with TokenClient(server.target) as client, pytest.raises(MintonceError) as watched:
        next(client.watch(CLIENT, AUDIENCE))
    for error in (got.value, watched.value):
        printed = "".join(traceback.format_exception(error))
        assert "\x1b" not in printed
        assert "\nforged" not in printed
        assert ("secret" in printed) == bool(reason)


async def test_the_async_client_does_the_same(server: ScriptedServer) -> None:
    """Get, watch, reject, list and rotate on asyncio."""
    async with AsyncTokenClient(server.target) as client:
        token = await client.get(CLIENT, AUDIENCE)
        assert token.generation == 101
        async with client.watch(CLIENT, AUDIENCE) as tokens:
            assert (await anext(tokens)).generation == 101
            server.publish()
            assert (await anext(tokens)).generation == 102
        assert not await client.reject(CLIENT, AUDIENCE, token=token)
        assert (await client.list_tokens()).incomplete
        assert (await client.rotate(CLIENT, AUDIENCE)).generation == 103


async def test_the_async_client_translates_errors_too(server: ScriptedServer) -> None:
    """One table for both."""
    server.fail("GetToken", grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", remedy="Ask for it.")
    client = AsyncTokenClient(server.target)
    with pytest.raises(Refused) as caught:
        await client.get(CLIENT, AUDIENCE)
    assert caught.value.remedy == "Ask for it."
    watch = client.watch(CLIENT, AUDIENCE)
    await anext(watch)
    watch.cancel()
    assert [token async for token in watch] == []
    await client.close()
    with pytest.raises(Closed):
        await client.get(CLIENT, AUDIENCE)
