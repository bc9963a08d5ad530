"""An API refused the token: one report for all, and what comes after it."""

from time import sleep

import grpc
import pytest

from conformance.harness.kit import BUSY, Serve
from conformance.harness.testee import Testee
from conformance.servers.failures import Failure
from conformance.servers.scripted import FIRST, KEY, Scripted
from mintonce.v1 import tokens_pb2

NEXT = FIRST + 1
TOO_SOON = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", "rejected a moment ago", retry_after=30.0)


def test_case_15_reject_brings_the_successor(testee: Testee, server: Scripted) -> None:
    """By the generation, and by one call of each kind."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    successor = testee.call("reject", source="s", generation=FIRST)
    assert (successor["generation"], successor["sha256"]) == (NEXT, server.token.sha256)
    assert testee.call("token", source="s")["generation"] == NEXT
    (report,) = server.calls_of("RejectToken")
    assert isinstance(report.request, tokens_pb2.RejectTokenRequest)
    assert report.request.WhichOneof("rejected") == "generation"
    assert report.request.generation == FIRST
    assert report.request.key.client == KEY["client"]
    assert server.count("GetToken") == 2


def test_case_16_many_rejects_are_one_report(testee: Testee, server: Scripted) -> None:
    """50 at once: all get the same successor."""
    testee.call("open", source="s", **KEY, target=server.target)
    gate = server.hold("RejectToken")
    burst = testee.start("burst", n=50, of={"op": "reject", "source": "s", "generation": FIRST, "timeout_ms": 10_000})
    server.wait_for_calls("RejectToken")
    sleep(0.3)
    gate.set()
    results = burst.result()["results"]
    assert [result.get("ok", result).get("generation") for result in results] == [NEXT] * 50
    assert server.count("RejectToken") == 1
    assert server.count("GetToken") == 2


def test_case_17_an_old_generation_costs_no_call(testee: Testee, server: Scripted) -> None:
    """The caller has it from before: what it needs is the current one."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    server.publish()
    testee.call("updated", source="s", than=FIRST, timeout_ms=5000)
    assert testee.call("reject", source="s", generation=FIRST)["generation"] == NEXT
    assert server.count("RejectToken") == 0
    assert server.count("GetToken") == 1


def test_case_18_a_refused_report(testee: Testee, server: Scripted) -> None:
    """The server says why; the token stays, and the next report waits."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    server.fail("RejectToken", TOO_SOON)
    for _ in range(2):
        rejecting = testee.start("reject", source="s", generation=FIRST, timeout_ms=5000)
        failed = rejecting.failure()
        assert (failed.kind, failed.reason, failed.code) == ("Unavailable", "ROTATION_TOO_SOON", "RESOURCE_EXHAUSTED")
        assert failed.retry_after == pytest.approx(30.0)
        assert rejecting.took < BUSY
        assert testee.call("token", source="s")["generation"] == FIRST
    assert server.count("RejectToken") == 1
    assert server.count("GetToken") == 1


def test_case_18_all_who_wait_get_the_error(testee: Testee, server: Scripted) -> None:
    """One report, one refusal, for everybody."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.fail("RejectToken", TOO_SOON)
    gate = server.hold("RejectToken")
    burst = testee.start("burst", n=20, of={"op": "reject", "source": "s", "generation": FIRST, "timeout_ms": 10_000})
    server.wait_for_calls("RejectToken")
    sleep(0.3)
    gate.set()
    results = burst.result()["results"]
    assert [result["error"]["reason"] for result in results] == ["ROTATION_TOO_SOON"] * 20
    assert server.count("RejectToken") == 1


def test_case_19_the_mint_after_it_fails(testee: Testee, server: Scripted) -> None:
    """The error is that of the mint, and the dead token is served no more."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    server.fail(
        "GetToken", Failure(grpc.StatusCode.FAILED_PRECONDITION, "ISSUER_REFUSED", issuer_error="invalid_client")
    )
    failed = testee.fails("reject", source="s", generation=FIRST, timeout_ms=5000)
    assert (failed.kind, failed.reason, failed.issuer_error) == ("Refused", "ISSUER_REFUSED", "invalid_client")
    failed = testee.fails("token", source="s")
    assert (failed.kind, failed.cause, failed.issuer_error) == ("TokenExpired", "ISSUER_REFUSED", "invalid_client")
    assert server.count("RejectToken") == 1


def test_case_19_the_source_recovers(testee: Testee, serve: Serve) -> None:
    """The loop goes on after a refusal: an operator may have corrected it."""
    server = serve()
    testee.call("open", source="s", **KEY, target=server.target)
    server.fail("GetToken", Failure(grpc.StatusCode.FAILED_PRECONDITION, "ISSUER_REFUSED"), 1)
    assert testee.fails("reject", source="s", generation=FIRST, timeout_ms=5000).reason == "ISSUER_REFUSED"
    server.wait_until(lambda: server.published[-1].generation == NEXT, "the next mint", 5.0)
    sleep(0.2)
    assert testee.call("get", source="s", timeout_ms=3000)["generation"] == NEXT


def test_case_20_by_the_sha256_of_the_text(testee: Testee, server: Scripted) -> None:
    """For those who do not know the generation: 32 bytes."""
    testee.call("client_open", conn="c", target=server.target)
    token = server.token
    assert testee.call("client_get", conn="c", **KEY)["sha256"] == token.sha256
    assert testee.call("client_reject", conn="c", **KEY, sha256=token.sha256) == {"was_current": True}
    assert testee.call("client_reject", conn="c", **KEY, sha256=token.sha256) == {"was_current": False}
    (report, _) = server.calls_of("RejectToken")
    assert isinstance(report.request, tokens_pb2.RejectTokenRequest)
    assert report.request.access_token_sha256.hex() == token.sha256


def test_case_20_by_the_generation(testee: Testee, server: Scripted) -> None:
    """The usual way."""
    testee.call("client_open", conn="c", target=server.target)
    assert testee.call("client_reject", conn="c", **KEY, generation=FIRST) == {"was_current": True}
    assert testee.call("client_reject", conn="c", **KEY, generation=FIRST) == {"was_current": False}


def test_case_20_without_a_token_it_is_a_programming_error(testee: Testee, server: Scripted) -> None:
    """No call."""
    testee.call("client_open", conn="c", target=server.target)
    assert testee.fails("client_reject", conn="c", **KEY).kind == "Usage"
    assert server.count("RejectToken") == 0
