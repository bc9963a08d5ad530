"""What a source does by itself: watches, fetches, outages."""

import itertools
from time import monotonic, sleep

import grpc

from conformance.harness.kit import BUSY, Serve
from conformance.harness.testee import Testee
from conformance.servers.failures import Failure
from conformance.servers.line import Line
from conformance.servers.scripted import FIRST, KEY, Scripted

NEXT = FIRST + 1


def test_case_04_reads_make_no_call(testee: Testee, server: Scripted) -> None:
    """10 000 of them, each of memory."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    before = len(server.calls)
    assert testee.call("token", source="s", count=10_000)["generation"] == FIRST
    assert testee.call("get", source="s")["generation"] == FIRST
    assert len(server.calls) == before
    assert server.count("GetToken") == 1


def test_case_05_a_pushed_successor_is_seen(testee: Testee, server: Scripted) -> None:
    """Without a further GetToken, and at once."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    for generation in (NEXT, NEXT + 5):
        waiting = testee.start(
            "updated", source="s", than=generation - 1 if generation == NEXT else NEXT, timeout_ms=10_000
        )
        successor = server.publish(generation=generation)
        updated = waiting.result()
        assert (updated["generation"], updated["sha256"]) == (generation, successor.sha256)
        assert testee.call("token", source="s")["sha256"] == successor.sha256
    assert server.count("GetToken") == 1
    assert server.count("WatchToken") == 1


def test_case_06_a_server_without_watches(testee: Testee, serve: Serve) -> None:
    """Successors come by GetToken, after the refresh time; the watch is left alone."""
    server = serve(lifetime=5.0, refresh_in=1.0)
    server.fail("WatchToken", Failure(grpc.StatusCode.UNIMPLEMENTED))
    server.lifetime, server.refresh_in = 3600.0, 3240.0
    opening = testee.start("open", source="s", **KEY, target=server.target)
    opening.result()
    sleep(0.7)
    server.publish()
    updated = testee.call("updated", source="s", than=FIRST, timeout_ms=10_000)
    assert updated["generation"] == NEXT
    # The grace is half of what is left at the refresh time, 2 s; of it, a half or more. The client counts from when it
    # sent its call.
    first, second = server.calls_of("GetToken")
    assert 1.9 - opening.took < second.at - first.at < 5.0
    sleep(1.0)
    assert server.count("WatchToken") == 1
    assert server.count("GetToken") == 2


def test_case_06_watches_that_fail_are_no_storm(testee: Testee, server: Scripted) -> None:
    """Each failure waits longer than the one before, and the token is served meanwhile."""
    server.fail("WatchToken", Failure(grpc.StatusCode.INTERNAL, "INTERNAL"))
    testee.call("open", source="s", **KEY, target=server.target)
    sleep(3.0)
    assert testee.call("token", source="s")["generation"] == FIRST
    assert 1 <= server.count("WatchToken") <= 20
    assert server.count("GetToken") == 1


def test_case_06_watches_that_end_are_no_storm(testee: Testee, server: Scripted) -> None:
    """Also when a server closes them without an error."""
    server.end_watches = True
    testee.call("open", source="s", **KEY, target=server.target)
    sleep(3.0)
    assert 1 <= server.count("WatchToken") <= 40


def test_case_07_a_lower_generation_is_ignored_while_a_higher_one_lives(testee: Testee, serve: Serve) -> None:
    """It counts when that one is over: the store has lost its history then."""
    server = serve(lifetime=3.0, refresh_in=2.9)
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    first = server.token
    lower = server.publish(generation=7, lifetime=3600.0)
    sleep(0.7)
    assert testee.call("token", source="s")["sha256"] == first.sha256
    _until_over(first.expires_in)
    assert testee.call("get", source="s")["sha256"] == lower.sha256


def test_case_07_the_same_generation_is_nothing_newer(testee: Testee, serve: Serve) -> None:
    """With other lifetime or `degraded`, too."""
    server = serve(lifetime=3600.0)
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    server.publish(generation=FIRST, lifetime=1800.0, degraded=True)
    sleep(0.5)
    token = testee.call("token", source="s")
    assert token["degraded"] is False
    assert token["remaining_ms"] > 1900e3


def test_case_08_a_rejected_generation_does_not_come_back(testee: Testee, server: Scripted) -> None:
    """A late message must not bring it."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    first = server.token
    assert testee.call("reject", source="s", generation=FIRST)["generation"] == NEXT
    server.wait_for_watches()
    server.publish(generation=FIRST, lifetime=3600.0)
    sleep(0.5)
    token = testee.call("token", source="s")
    assert token["generation"] == NEXT
    assert token["sha256"] != first.sha256


def test_case_08_not_even_when_nothing_lives(testee: Testee, serve: Serve) -> None:
    """A rejected generation, and those below it, are dead for ever."""
    server = serve()
    server.lifetime = 1.5
    testee.call("open", source="s", **KEY, target=server.target)
    assert testee.call("reject", source="s", generation=FIRST)["generation"] == NEXT
    server.wait_for_watches()
    second = server.token
    server.publish(generation=FIRST, lifetime=3600.0)
    _until_over(second.expires_in)
    failed = testee.fails("get", source="s", timeout_ms=1000)
    assert failed.kind in ("TokenExpired", "Unavailable")


def test_case_09_served_to_its_true_end(testee: Testee, serve: Serve) -> None:
    """Without a server the token is good as long as it lives, and not a moment longer."""
    server = serve(lifetime=3.0, refresh_in=2.7)
    opening = testee.start("open", source="s", **KEY, target=server.target)
    opening.result()
    server.wait_for_watches()
    token = server.token
    server.stop()
    for op in itertools.cycle(["token", "get"]):
        answer = testee.start(op, source="s").answer.result(10)
        if token.expires_in < opening.took + 0.1:
            break  # the client counts from its call, so by now it may have been over
        assert (answer["ok"]["sha256"], answer["ok"]["live"]) == (token.sha256, True)
        sleep(0.1)
    _until_over(token.expires_in)
    over_at = monotonic()
    # The cause comes with the first fetch that has failed, all of its attempts.
    while not testee.fails("token", source="s").cause and monotonic() < over_at + BUSY:
        sleep(0.1)
    for op in ("token", "get"):
        failed = testee.fails(op, source="s")
        assert (failed.kind, failed.reason) == ("TokenExpired", "TOKEN_EXPIRED")
        assert (failed.cause, failed.code) == ("UNREACHABLE", "UNAVAILABLE")
        assert failed.remedy


def test_case_10_the_server_comes_back(testee: Testee, serve: Serve) -> None:
    """On its port, after the token's end: a token again within 6 s."""
    server = serve(lifetime=2.5, refresh_in=2.2)
    server.lifetime, server.refresh_in = 3600.0, None
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    # A longer outage would be a longer back-off: 6 s are for one whose calls have failed once or twice.
    sleep(max(0.0, server.token.expires_in - 0.8))
    server.stop()
    _until_over(server.token.expires_in)
    sleep(0.3)
    assert testee.fails("token", source="s").kind == "TokenExpired"
    server.start()
    back_at = monotonic()
    while monotonic() < back_at + 6.0 + BUSY:
        waiting = testee.start("get", source="s", timeout_ms=6000)
        if "ok" in waiting.answer.result(10):
            break
        sleep(0.1)
    assert testee.call("token", source="s")["generation"] == NEXT


def test_case_10_a_lost_connection_is_replaced(testee: Testee, server: Scripted) -> None:
    """Without a status, in the middle of a watch: nothing is visible, and the next watch brings the successor."""
    with Line(server.port) as line:
        testee.call("open", source="s", **KEY, target=line.target)
        server.wait_for_watches()
        line.cut()
        server.wait_for_calls("WatchToken", 2)
        successor = server.publish()
        assert testee.call("updated", source="s", than=FIRST, timeout_ms=5000)["sha256"] == successor.sha256


def test_case_11_a_replica_drains(testee: Testee, serve: Serve) -> None:
    """Behind a load balancer: the watch goes on at another replica, and callers notice nothing."""
    leaving, staying = serve(), serve()
    staying.publish(generation=FIRST)
    with Line(leaving.port) as line:
        testee.call("open", source="s", **KEY, target=line.target)
        leaving.wait_for_watches()
        line.backend = staying.port
        drained_at = monotonic()
        leaving.drain()
        while not staying.watching:
            assert testee.call("get", source="s")["generation"] == FIRST
            assert monotonic() - drained_at < 2.0 + BUSY
            sleep(0.05)
        successor = staying.publish()
        assert testee.call("updated", source="s", than=FIRST, timeout_ms=5000)["sha256"] == successor.sha256


def _until_over(seconds: float) -> None:
    sleep(max(0.0, seconds) + 0.1)
