"""A token is over: who waits, who does not, and how often the server is asked."""

from time import sleep

import grpc
import pytest

from conformance.harness.kit import BUSY, Serve
from conformance.harness.testee import Testee
from conformance.servers.failures import Failure
from conformance.servers.scripted import FIRST, KEY

OUTAGE = Failure(grpc.StatusCode.UNAVAILABLE, "ISSUER_UNAVAILABLE", "the issuer is down", request_id="r-5")


def test_case_12_many_waits_are_one_fetch(testee: Testee, serve: Serve) -> None:
    """50 at once, and all get the same token."""
    server = serve(lifetime=3.0, refresh_in=2.9)
    server.lifetime, server.refresh_in = 3600.0, None
    gate = server.hold("GetToken")
    gate.set()
    server.fail("WatchToken", Failure(grpc.StatusCode.UNIMPLEMENTED))
    testee.call("open", source="s", **KEY, target=server.target)
    gate.clear()
    sleep(max(0.0, server.token.expires_in) + 0.05)
    burst = testee.start("burst", n=50, of={"op": "get", "source": "s", "timeout_ms": 10_000})
    server.wait_for_calls("GetToken", 2)
    sleep(0.3)
    gate.set()
    results = burst.result()["results"]
    assert {result.get("ok", result)["generation"] for result in results} == {FIRST + 1}
    assert len(results) == 50
    assert server.count("GetToken") == 2


def test_case_13_no_wait_inside_the_back_off(testee: Testee, serve: Serve) -> None:
    """The last error at once, with its delay, and no call."""
    server = serve(lifetime=3.0, refresh_in=2.9)
    server.fail("WatchToken", Failure(grpc.StatusCode.UNIMPLEMENTED))
    testee.call("open", source="s", **KEY, target=server.target)
    server.fail("GetToken", Failure(OUTAGE.code, OUTAGE.reason, retry_after=30.0, request_id="r-5"))
    server.wait_for_calls("GetToken", 2)
    sleep(max(0.0, server.token.expires_in) + 0.1)
    calls = server.count("GetToken")
    for _ in range(3):
        waiting = testee.start("get", source="s", timeout_ms=15_000)
        failed = waiting.failure()
        assert waiting.took < BUSY
        assert (failed.kind, failed.reason, failed.cause) == ("TokenExpired", "TOKEN_EXPIRED", "ISSUER_UNAVAILABLE")
        assert failed.retry_after == pytest.approx(30.0)
        assert (failed.request_id, failed.code) == ("r-5", "UNAVAILABLE")
    assert server.count("GetToken") == calls == 2


def test_case_14_retry_info_is_honoured(testee: Testee, serve: Serve) -> None:
    """No GetToken for as long as the server asked, but one soon after."""
    server = serve(lifetime=3.0, refresh_in=2.7)
    server.fail("WatchToken", Failure(grpc.StatusCode.UNIMPLEMENTED))
    testee.call("open", source="s", **KEY, target=server.target)
    server.fail("GetToken", Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "ISSUER_THROTTLED", retry_after=2.0), 1)
    server.wait_for_calls("GetToken", 3)
    _, second, third = server.calls_of("GetToken")
    assert 1.95 <= third.at - second.at < 3.0 + BUSY  # the back-off adds up to 1 s
    server.wait_until(lambda: server.published[-1].generation > FIRST, "a successor")


def test_case_14_more_than_300_s_is_cut(testee: Testee, serve: Serve) -> None:
    """The error keeps what the server said. (That the wait is cut is in the vectors of `follower/`.)"""
    server = serve(lifetime=3.0, refresh_in=2.9)
    server.fail("WatchToken", Failure(grpc.StatusCode.UNIMPLEMENTED))
    testee.call("open", source="s", **KEY, target=server.target)
    server.fail("GetToken", Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "ISSUER_THROTTLED", retry_after=86_400.0))
    server.wait_for_calls("GetToken", 2)
    sleep(max(0.0, server.token.expires_in) + 0.1)
    failed = testee.fails("get", source="s", timeout_ms=2000)
    assert failed.kind == "TokenExpired"
    assert failed.retry_after == pytest.approx(86_400.0)
