"""To get a source: what it asks for, and how it fails."""

import hashlib
import socket
from time import sleep

import grpc
import pytest

from conformance.harness.kit import BUSY, Serve, Start
from conformance.harness.testee import Pending, Testee
from conformance.servers.failures import Failure
from conformance.servers.scripted import AUDIENCE, CLIENT, FIRST, KEY, Scripted
from conformance.servers.tokens import Published
from mintonce.v1 import tokens_pb2

ROUNDING_MS = 2.0
"""Of clocks and of numbers in answers."""

REFUSAL = Failure(
    grpc.StatusCode.NOT_FOUND, "UNKNOWN_CLIENT", "no such client", remedy="Register it.", request_id="r-17"
)


def test_case_01_open_returns_the_first_token(testee: Testee, server: Scripted) -> None:
    """All of it, by one call with the whole key."""
    opening = testee.start("open", source="s", **KEY, scopes=["b", "a"], target=server.target)
    token = opening.result()
    assert token["generation"] == FIRST
    assert token["sha256"] == server.token.sha256
    assert token["header_sha256"] == server.token.header_sha256
    assert token["live"] is True
    assert token["degraded"] is False
    assert (token["origin"], token["scopes"], token["type"]) == ("memory", ["read", "write"], "Bearer")
    must_end_with(server.token, token["remaining_ms"], opening, opening)
    assert token["remaining_ms"] - token["refresh_ms"] == pytest.approx(360e3, abs=1.0)
    (call,) = server.calls_of("GetToken")
    assert isinstance(call.request, tokens_pb2.GetTokenRequest)
    assert (call.request.key.client, call.request.key.audience) == (CLIENT, AUDIENCE)
    assert sorted(call.request.key.scopes) == ["a", "b"]
    assert call.metadata["user-agent"].startswith("mintonce-")
    assert call.authorization == ""


@pytest.mark.parametrize(("said", "sent"), [("bearer", "Bearer"), ("", "Bearer"), ("DPoP", "DPoP")])
def test_case_01_the_scheme_of_the_header(testee: Testee, serve: Serve, said: str, sent: str) -> None:
    """Bearer is written as RFC 6750 has it, and another type stays as it is."""
    server = serve(token_type=said)
    token = testee.call("open", source="s", **KEY, target=server.target)
    assert token["header_sha256"] == hashlib.sha256(f"{sent} {server.token.text}".encode()).hexdigest()


def test_case_02_a_refused_open(start: Start, server: Scripted) -> None:
    """The error has what the server said, and the process can end."""
    server.fail("GetToken", REFUSAL)
    failed = start({}).fails("open", source="s", **KEY, target=server.target)
    assert (failed.kind, failed.reason, failed.code) == ("Refused", "UNKNOWN_CLIENT", "NOT_FOUND")
    assert (failed.remedy, failed.request_id, failed.retry_after) == ("Register it.", "r-17", None)
    assert "no such client" in failed.message
    sleep(0.3)
    assert server.count("GetToken") == 1
    assert server.count("WatchToken") == 0


def test_case_03_nobody_listens(testee: Testee) -> None:
    """Unreachable, soon, and it says where."""
    target = f"127.0.0.1:{_free_port()}"
    opening = testee.start("open", source="s", **KEY, target=target)
    failed = opening.failure()
    assert (failed.kind, failed.reason, failed.code) == ("Unreachable", "UNREACHABLE", "UNAVAILABLE")
    assert target in failed.message + failed.remedy
    assert opening.took < BUSY


def test_case_03_an_open_may_wait_for_the_server(testee: Testee, serve: Serve) -> None:
    """As in a cluster where things start in any order."""
    port = _free_port()
    opening = testee.start("open", source="s", **KEY, target=f"127.0.0.1:{port}", wait_for_server_ms=20_000)
    sleep(1.0)
    assert not opening.is_answered
    serve(f"127.0.0.1:{port}")
    assert opening.result()["generation"] == FIRST


def test_case_03_the_wait_has_an_end(testee: Testee) -> None:
    """And then it is the same error."""
    opening = testee.start("open", source="s", **KEY, target=f"127.0.0.1:{_free_port()}", wait_for_server_ms=1500)
    failed = opening.failure()
    assert failed.kind == "Unreachable"
    assert 1.0 < opening.took < 1.5 + BUSY


def test_case_03_a_refusal_ends_the_wait(testee: Testee, server: Scripted) -> None:
    """Only a server that is not there is waited for."""
    server.fail("GetToken", REFUSAL)
    opening = testee.start("open", source="s", **KEY, target=server.target, wait_for_server_ms=20_000)
    assert opening.failure().kind == "Refused"
    assert opening.took < BUSY
    assert server.count("GetToken") == 1


def test_case_25_life_counts_from_before_the_call(testee: Testee, server: Scripted) -> None:
    """What the network took is not added to a token's life."""
    server.publish(lifetime=10.0, refresh_in=8.0)
    server.delay("GetToken", 0.7)
    opening = testee.start("open", source="s", **KEY, target=server.target)
    opening.result()
    assert opening.took > 0.7
    # The shorter this read, the smaller the error that it shows.
    reading = testee.start("token", source="s")
    token = reading.result()
    must_end_with(server.token, token["remaining_ms"], opening, reading)
    assert token["remaining_ms"] - token["refresh_ms"] == pytest.approx(2000, abs=1.0)


@pytest.mark.parametrize("wall", [0.0, 4102444800.0], ids=["1970", "2100"])
def test_case_25_wall_clocks_do_not_matter(testee: Testee, serve: Serve, wall: float) -> None:
    """`expire_time` is for people."""
    server = serve(lifetime=100.0, expire_time=wall)
    opening = testee.start("open", source="s", **KEY, target=server.target)
    token = opening.result()
    assert token["live"] is True
    must_end_with(server.token, token["remaining_ms"], opening, opening)


def test_case_34_unknown_origins_and_fields_are_accepted(testee: Testee, serve: Serve) -> None:
    """A newer server is no trouble."""
    server = serve(origin=77, extra=bytes([0xFA, 0x3E, 3]) + b"new")  # field 1007, a text
    token = testee.call("open", source="s", **KEY, target=server.target)
    assert (token["origin"], token["generation"]) == ("unknown", FIRST)
    server.wait_for_watches()
    successor = server.publish(origin=78, degraded=True, extra=bytes([0xFA, 0x3E, 1]) + b"n")
    updated = testee.call("updated", source="s", than=FIRST, timeout_ms=5000)
    assert updated["sha256"] == successor.sha256
    assert (updated["origin"], updated["degraded"]) == ("unknown", True)


def must_end_with(published: Published, remaining_ms: float, fetching: Pending, reading: Pending) -> None:
    """What is left of a token that `fetching` brought, as `reading` says it.

    The client's end of the token is never later than the server's, since the call was sent before it was answered; and
    it is earlier by no more than the fetch took. Both hold on a machine of any speed.
    """
    ends_at = published.at + published.lifetime
    assert remaining_ms <= (ends_at - reading.sent_at) * 1000 + ROUNDING_MS
    assert remaining_ms >= (ends_at - fetching.took - reading.answered_at) * 1000 - ROUNDING_MS


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
