"""Calls: deadlines, cancellation, errors, retries."""

from time import sleep
from typing import Any

import grpc
import pytest

from conformance.harness.kit import BUSY, needs
from conformance.harness.testee import Testee
from conformance.servers.failures import Failure
from conformance.servers.scripted import FIRST, KEY, Scripted

BY_CODE = {
    "UNAVAILABLE": "Unavailable",
    "RESOURCE_EXHAUSTED": "Unavailable",
    "DEADLINE_EXCEEDED": "Unavailable",
    "ABORTED": "Unavailable",
    "INVALID_ARGUMENT": "Refused",
    "NOT_FOUND": "Refused",
    "UNAUTHENTICATED": "Refused",
    "PERMISSION_DENIED": "Refused",
    "FAILED_PRECONDITION": "Refused",
    "CANCELLED": "Other",
    "INTERNAL": "Other",
    "UNIMPLEMENTED": "Other",
    "DATA_LOSS": "Other",
}
BY_REASON = {
    "INVALID_REQUEST": ("INVALID_ARGUMENT", "Refused"),
    "UNKNOWN_CLIENT": ("NOT_FOUND", "Refused"),
    "UNAUTHENTICATED": ("UNAUTHENTICATED", "Refused"),
    "PERMISSION_DENIED": ("PERMISSION_DENIED", "Refused"),
    "ISSUER_REFUSED": ("FAILED_PRECONDITION", "Refused"),
    "ISSUER_THROTTLED": ("RESOURCE_EXHAUSTED", "Unavailable"),
    "ISSUER_UNAVAILABLE": ("UNAVAILABLE", "Unavailable"),
    "ISSUER_MALFORMED": ("UNAVAILABLE", "Unavailable"),
    "STORE_UNAVAILABLE": ("UNAVAILABLE", "Unavailable"),
    "ROTATION_TOO_SOON": ("RESOURCE_EXHAUSTED", "Unavailable"),
    "WAIT_TIMED_OUT": ("DEADLINE_EXCEEDED", "Unavailable"),
    "DRAINING": ("UNAVAILABLE", "Unavailable"),
    "INTERNAL": ("INTERNAL", "Other"),
    "LIMIT_EXCEEDED": ("RESOURCE_EXHAUSTED", "Unavailable"),
    "AUDIT_UNAVAILABLE": ("UNAVAILABLE", "Unavailable"),
    "BUDGET_USED_UP": ("RESOURCE_EXHAUSTED", "Unavailable"),
}
UNSAID_CLASSES = {**BY_CODE, "UNAVAILABLE": "Unreachable", "ABORTED": "Other"}
"""Without a reason: UNAVAILABLE is gRPC's own, and what is not in the contract is of the base class."""


def code(name: str) -> grpc.StatusCode:
    return grpc.StatusCode[name]


@pytest.fixture
def client(testee: Testee, server: Scripted) -> Testee:
    """With a client `c` of the server."""
    testee.call("client_open", conn="c", target=server.target)
    return testee


def test_case_21_the_clients_own_deadline(client: Testee, server: Scripted) -> None:
    """The server says nothing."""
    gate = server.hold("GetToken")
    getting = client.start("client_get", conn="c", **KEY, timeout_ms=700)
    failed = getting.failure()
    gate.set()
    assert (failed.kind, failed.reason, failed.code) == ("Unavailable", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert 0.6 < getting.took < 0.7 + BUSY
    assert failed.remedy


def test_case_21_the_servers_word_on_it(client: Testee, server: Scripted) -> None:
    """The same status with details."""
    server.fail("GetToken", Failure(code("DEADLINE_EXCEEDED"), "WAIT_TIMED_OUT"))
    failed = client.fails("client_get", conn="c", **KEY, timeout_ms=2000)
    assert (failed.kind, failed.reason, failed.code) == ("Unavailable", "WAIT_TIMED_OUT", "DEADLINE_EXCEEDED")


def test_case_21_the_default_of_a_client_and_of_a_source(testee: Testee, server: Scripted) -> None:
    """`timeout` is what a call may take, retries included."""
    gate = server.hold("GetToken")
    opening = testee.start("open", source="s", **KEY, target=server.target, timeout_ms=600)
    testee.call("client_open", conn="c", target=server.target, timeout_ms=600)
    getting = testee.start("client_get", conn="c", **KEY)
    for each in (opening, getting):
        assert each.failure().reason == "DEADLINE_EXCEEDED"
        assert 0.5 < each.took < 0.6 + BUSY
    gate.set()


def test_case_21_a_reject_ends_at_its_timeout(testee: Testee, server: Scripted) -> None:
    """Whatever the call does meanwhile."""
    testee.call("open", source="s", **KEY, target=server.target)
    gate = server.hold("RejectToken")
    rejecting = testee.start("reject", source="s", generation=FIRST, timeout_ms=600)
    assert rejecting.failure().kind == "Unavailable"
    assert 0.5 < rejecting.took < 0.6 + BUSY
    assert testee.call("token", source="s")["generation"] == FIRST
    gate.set()


@pytest.mark.parametrize("op", ["client_get", "open", "reject", "updated", "get"])
def test_case_22_a_callers_own_cancellation(testee: Testee, server: Scripted, op: str) -> None:
    """Ends the wait at once, and is never Closed."""
    needs(testee, "cancel")
    gate = server.hold("GetToken")
    gate.set()
    testee.call("client_open", conn="c", target=server.target)
    if op in ("reject", "updated", "get"):
        server.publish(lifetime=3.0 if op == "get" else 3600.0, refresh_in=2.9 if op == "get" else 3000.0)
        testee.call("open", source="s", **KEY, target=server.target)
        server.wait_for_watches()
    gate.clear()
    if op == "get":
        sleep(max(0.0, server.token.expires_in) + 0.1)
    how: dict[str, Any] = {
        "client_get": {"conn": "c", **KEY},
        "open": {"source": "s", **KEY, "target": server.target},
        "reject": {"source": "s", "generation": server.token.generation},
        "updated": {"source": "s", "than": server.token.generation, "timeout_ms": 15_000},
        "get": {"source": "s", "timeout_ms": 15_000},
    }[op]
    waiting = testee.start(op, **how)
    sleep(0.4)
    assert not waiting.is_answered
    cancelling = testee.start("cancel", of=waiting.id)
    assert waiting.failure(BUSY).kind == "Cancelled"
    cancelling.result()
    gate.set()


def test_case_22_the_source_goes_on(testee: Testee, server: Scripted) -> None:
    """One caller's cancellation is not the next one's."""
    needs(testee, "cancel")
    testee.call("open", source="s", **KEY, target=server.target)
    gate = server.hold("RejectToken")
    first = testee.start("reject", source="s", generation=FIRST, timeout_ms=15_000)
    server.wait_for_calls("RejectToken")
    second = testee.start("reject", source="s", generation=FIRST, timeout_ms=15_000)
    sleep(0.2)
    testee.call("cancel", of=first.id)
    assert first.failure().kind == "Cancelled"
    gate.set()
    assert second.result()["generation"] == FIRST + 1
    assert server.count("RejectToken") == 1


@pytest.mark.parametrize("reason", BY_REASON)
def test_case_23_every_reason_has_its_class(client: Testee, server: Scripted, reason: str) -> None:
    """With what the server said, word for word."""
    name, kind = BY_REASON[reason]
    how = Failure(code(name), reason, "said so", "Do so.", "r-1", "invalid_scope", retry_after=1.5, pushback="-1")
    server.fail("GetToken", how)
    failed = client.fails("client_get", conn="c", **KEY)
    assert (failed.kind, failed.reason, failed.code) == (kind, reason, name)
    assert (failed.remedy, failed.request_id, failed.issuer_error) == ("Do so.", "r-1", "invalid_scope")
    assert failed.retry_after == pytest.approx(1.5)
    assert "said so" in failed.message


@pytest.mark.parametrize("name", BY_CODE)
def test_case_23_an_unknown_reason(client: Testee, server: Scripted, name: str) -> None:
    """The code decides."""
    server.fail("GetToken", Failure(code(name), "QUOTA_PAUSED"))
    failed = client.fails("client_get", conn="c", **KEY)
    assert (failed.kind, failed.reason, failed.code) == (BY_CODE[name], "QUOTA_PAUSED", name)


UNSAID: dict[str, dict[str, Any]] = {
    "none": {},
    "garbage": {"details": b"\xff\xff\xff not protobuf"},
    "foreign": {"reason": "UNKNOWN_CLIENT", "domain": "googleapis.com", "pushback": "-1", "request_id": "r-x"},
    "empty": {"details": b"\x08\x0e"},
}


@pytest.mark.parametrize("details", UNSAID)
@pytest.mark.parametrize("name", [name for name in UNSAID_CLASSES if name != "ABORTED"])
def test_case_23_no_details_or_useless_ones(client: Testee, server: Scripted, name: str, details: str) -> None:
    """Nothing breaks, and what is not said counts as not said."""
    how: dict[str, Any] = {"pushback": "-1", "message": "canary-of-the-peer", **UNSAID[details]}
    server.fail("GetToken", Failure(code(name), **how))
    failed = client.fails("client_get", conn="c", **KEY)
    reason = "UNREACHABLE" if name == "UNAVAILABLE" else name
    assert (failed.kind, failed.reason, failed.code) == (UNSAID_CLASSES[name], reason, name)
    assert failed.request_id == ""
    assert failed.remedy
    if name != "UNAVAILABLE":
        assert "canary" not in failed.message + failed.remedy


def test_case_23_retry_info_counts_alone(client: Testee, server: Scripted) -> None:
    """Without an ErrorInfo, or with one of others, the delay may still be there; it never hurts."""
    server.fail("GetToken", Failure(code("RESOURCE_EXHAUSTED"), retry_after=2.0, pushback="-1"))
    failed = client.fails("client_get", conn="c", **KEY)
    assert (failed.kind, failed.reason) == ("Unavailable", "RESOURCE_EXHAUSTED")


def test_case_23_long_and_strange_texts(client: Testee, server: Scripted) -> None:
    """Control characters do not reach a terminal, and texts have an end."""
    server.fail("GetToken", Failure(code("INTERNAL"), "INTERNAL", remedy="a\x1b[31m\n" + "x" * 5000, retry_after=1.0))
    failed = client.fails("client_get", conn="c", **KEY)
    assert "\x1b" not in failed.remedy
    assert len(failed.remedy) < 3000


def test_case_24_unavailable_is_tried_again(client: Testee, server: Scripted) -> None:
    """Three failures are covered."""
    server.fail("GetToken", Failure(code("UNAVAILABLE"), "DRAINING"), 3)
    getting = client.start("client_get", conn="c", **KEY)
    assert getting.result()["generation"] == FIRST
    assert server.count("GetToken") == 4


@pytest.mark.parametrize("op", ["client_get", "client_reject", "client_list"])
def test_case_24_four_attempts_at_most(client: Testee, server: Scripted, op: str) -> None:
    """Then the error is the caller's."""
    method = {"client_get": "GetToken", "client_reject": "RejectToken", "client_list": "ListTokens"}[op]
    server.fail(method, Failure(code("UNAVAILABLE"), "DRAINING"))
    how: dict[str, Any] = {
        "client_get": KEY,
        "client_reject": {**KEY, "generation": FIRST},
        "client_list": {},
    }[op]
    calling = client.start(op, conn="c", **how)
    assert calling.failure().reason == "DRAINING"
    assert 2 <= server.count(method) <= 4
    assert calling.took < BUSY


def test_case_24_a_pushback_stops_it(client: Testee, server: Scripted) -> None:
    """`grpc-retry-pushback-ms: -1` comes with every reason but DRAINING."""
    server.fail("GetToken", Failure(code("UNAVAILABLE"), "STORE_UNAVAILABLE"))
    getting = client.start("client_get", conn="c", **KEY)
    assert getting.failure().reason == "STORE_UNAVAILABLE"
    assert server.count("GetToken") == 1


@pytest.mark.parametrize("name", ["RESOURCE_EXHAUSTED", "INTERNAL", "UNAUTHENTICATED", "DEADLINE_EXCEEDED"])
def test_case_24_other_codes_are_final(client: Testee, server: Scripted, name: str) -> None:
    """Without any pushback."""
    server.fail("GetToken", Failure(code(name), pushback=""))
    client.fails("client_get", conn="c", **KEY)
    assert server.count("GetToken") == 1


def test_case_24_a_rotation_is_never_repeated(client: Testee, server: Scripted) -> None:
    """Each one mints."""
    needs(client, "rotate")
    server.fail("RotateToken", Failure(code("UNAVAILABLE")))
    client.fails("client_rotate", conn="c", **KEY)
    assert server.count("RotateToken") == 1
    server.mend("RotateToken")
    assert client.call("client_rotate", conn="c", **KEY) == {"previous_generation": FIRST, "generation": FIRST + 1}


def test_case_24_the_retries_end_at_the_deadline(client: Testee, server: Scripted) -> None:
    """They are a part of the call: four attempts of 0.6 s each do not fit into 1 s."""
    server.delay("GetToken", 0.6)
    server.fail("GetToken", Failure(code("UNAVAILABLE"), "DRAINING"))
    getting = client.start("client_get", conn="c", **KEY, timeout_ms=1000)
    assert getting.failure().reason == "DEADLINE_EXCEEDED"
    assert server.count("GetToken") <= 2


def test_case_24_a_call_that_the_server_cancels_is_tried_again(client: Testee, server: Scripted) -> None:
    """As a flooded server does it, which drops calls before it looks at them."""
    server.fail("GetToken", Failure(code("CANCELLED"), pushback=""), 2)
    assert client.call("client_get", conn="c", **KEY)["generation"] == FIRST
    assert server.count("GetToken") == 3


def test_a_client_watches_and_lists(client: Testee, server: Scripted) -> None:
    """The calls that no case is about."""
    watching = client.start("client_watch", conn="c", **KEY, count=2, timeout_ms=10_000)
    server.wait_for_watches()
    sleep(0.3)
    server.publish()
    assert [token["generation"] for token in watching.result()["tokens"]] == [FIRST, FIRST + 1]
    server.wait_for_watches(0)
    needs(client, "list")
    page = client.call("client_list", conn="c", page_size=1)
    assert [each["generation"] for each in page["tokens"]] == [FIRST]
    page = client.call("client_list", conn="c", page_size=1, page_token=page["next_page_token"])
    assert page["next_page_token"] == ""
