"""The end of a source and of a client."""

from time import sleep

import pytest

from conformance.harness.kit import BUSY, Serve, Start
from conformance.harness.testee import Testee
from conformance.servers.scripted import FIRST, KEY, Scripted


def test_case_31_again_and_again(testee: Testee, server: Scripted) -> None:
    """Every read and every call is Closed afterwards."""
    testee.call("open", source="s", **KEY, target=server.target)
    for _ in range(3):
        assert testee.call("close", source="s") == {}
    for op, how in (("token", {}), ("get", {}), ("reject", {"generation": FIRST}), ("updated", {"than": FIRST})):
        failed = testee.fails(op, source="s", **how)
        assert (op, failed.kind) == (op, "Closed")
        assert op == "updated" or failed.reason == "CLOSED"  # which languages have in other forms
    assert server.count("RejectToken") == 0


def test_case_31_the_watch_ends_at_the_server(testee: Testee, server: Scripted) -> None:
    """At once, and no other follows."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    closing = testee.start("close", source="s")
    server.wait_for_watches(0, timeout=BUSY)
    closing.result()
    calls = len(server.calls)
    sleep(1.5)
    assert len(server.calls) == calls


def test_case_31_waiters_get_closed(testee: Testee, serve: Serve) -> None:
    """Those for a token, for a successor and for an update; at once."""
    server = serve(lifetime=3.0, refresh_in=2.9)
    gate = server.hold("GetToken")
    gate.set()
    testee.call("open", source="s", **KEY, target=server.target, timeout_ms=15_000)
    server.wait_for_watches()
    gate.clear()
    sleep(max(0.0, server.token.expires_in) + 0.1)
    waiting = [
        testee.start("get", source="s", timeout_ms=15_000),
        testee.start("reject", source="s", generation=FIRST, timeout_ms=15_000),
        testee.start("updated", source="s", than=FIRST, timeout_ms=15_000),
    ]
    sleep(0.4)
    closing = testee.start("close", source="s")
    for each in waiting:
        failed = each.failure(BUSY)
        assert (each.request["op"], failed.kind) == (each.request["op"], "Closed")
    gate.set()
    closing.result(BUSY)


def test_case_31_a_shared_client_stays(testee: Testee, server: Scripted) -> None:
    """It is the caller's to close."""
    testee.call("client_open", conn="c", target=server.target)
    for name in ("s", "t"):
        testee.call("open", source=name, **KEY, via="c")
        server.wait_for_watches()
        testee.call("close", source=name)
        server.wait_for_watches(0)
    assert testee.call("client_get", conn="c", **KEY)["generation"] == FIRST


def test_case_31_a_closed_client(testee: Testee, server: Scripted) -> None:
    """Likewise: again and again, and its calls are Closed."""
    testee.call("client_open", conn="c", target=server.target)
    testee.call("client_get", conn="c", **KEY)
    gate = server.hold("GetToken")
    getting = testee.start("client_get", conn="c", **KEY, timeout_ms=15_000)
    server.wait_for_calls("GetToken", 2)
    for _ in range(2):
        testee.call("close", conn="c")
    assert getting.failure(3.0).kind == "Closed"
    gate.set()
    for op, how in (("client_get", {}), ("client_reject", {"generation": FIRST}), ("client_watch", {"count": 1})):
        failed = testee.fails(op, conn="c", **KEY, **how)
        assert (op, failed.kind, failed.reason) == (op, "Closed", "CLOSED")


def test_case_31_without_a_server(testee: Testee, server: Scripted) -> None:
    """Nothing to wait for."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    server.stop()
    testee.start("close", source="s").result(BUSY)


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "left open"])
def test_case_31_the_process_can_end(start: Start, server: Scripted, closes: bool) -> None:
    """No thread, timer or connection holds it."""
    testee = start({})
    for number in range(5):
        testee.call("open", source=f"s{number}", **KEY, target=server.target)
        if closes:
            testee.call("close", source=f"s{number}")
    testee.end()
    server.wait_for_watches(0, timeout=BUSY)
