"""TokenSource: a token that is always at hand."""

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import grpc
import pytest

from mintonce import (
    Closed,
    MintonceError,
    Refused,
    TokenClient,
    TokenExpired,
    TokenSource,
    Unavailable,
    Unreachable,
    Watch,
    _wire,
)
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer


@pytest.fixture
def source(server: ScriptedServer) -> Iterator[TokenSource]:
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as made:
        server.wait_for(lambda calls: calls["WatchToken"])
        yield made


def read_for_ever(source: TokenSource) -> None:
    while True:
        assert source.get().expires_at > monotonic() - 0.2  # the machine may be busy in between


def test_it_is_ready_when_it_is_made(server: ScriptedServer) -> None:
    """The constructor returns with the first token."""
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        assert source.token().generation == 101
        assert source.header() == "Bearer secret-101"


def test_it_is_not_made_without_a_token(server: ScriptedServer) -> None:
    """A wrong name shows at the start of a service, not at its first request."""
    server.fail("GetToken", grpc.StatusCode.NOT_FOUND, "UNKNOWN_CLIENT")
    with pytest.raises(Refused):
        TokenSource(CLIENT, AUDIENCE, via=server.target)
    assert f"mintonce-{CLIENT}" not in {each.name for each in threading.enumerate()}


def test_reading_makes_no_call(server: ScriptedServer, source: TokenSource) -> None:
    """However often."""
    assert len({source.get() for _ in range(1000)}) == 1
    assert server.calls == {"GetToken": 1, "WatchToken": 1}


def test_a_pushed_successor_is_there_without_a_call(server: ScriptedServer, source: TokenSource) -> None:
    """Rotation is seen as it happens."""
    first = source.get()
    server.publish()
    assert source.wait_until_updated(first).generation == 102
    assert source.get().generation == 102
    assert server.calls["GetToken"] == 1


def test_a_restart_of_the_server_is_not_noticed_while_the_token_lives(
    server: ScriptedServer, source: TokenSource
) -> None:
    """It serves from memory meanwhile, and watches again afterwards."""
    server.stop()
    first = source.get()
    server.start()
    server.publish()
    assert source.wait_until_updated(first).generation == 102


def test_a_server_that_cannot_watch_is_polled(server: ScriptedServer) -> None:
    """At the refresh time, by GetToken."""
    server.fail("WatchToken", grpc.StatusCode.UNIMPLEMENTED)
    server.lifetime, server.refresh_in = 2.0, 0.1
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        first = source.get()
        server.publish()
        assert source.wait_until_updated(first).generation == 102
    assert server.calls["WatchToken"] == 1


def test_a_watch_that_always_breaks_is_made_up_for_by_polling(server: ScriptedServer) -> None:
    """A proxy may let calls pass and cut streams."""
    server.fail("WatchToken", grpc.StatusCode.INTERNAL)
    server.lifetime, server.refresh_in = 2.0, 0.1
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        first = source.get()
        server.publish()
        assert source.wait_until_updated(first).generation == 102


def test_a_silent_watch_does_not_outlive_the_refresh_time(server: ScriptedServer) -> None:
    """A watch on a dead connection sends nothing, not even an error."""
    gate = server.hold("WatchToken")
    server.lifetime, server.refresh_in = 2.0, 0.1
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        first = source.get()
        server.publish()
        assert source.wait_until_updated(first).generation == 102
        gate.set()


def test_a_dead_token_is_never_served_and_the_error_says_why(server: ScriptedServer) -> None:
    """The last error of the server, with its remedy."""
    server.lifetime = 0.5
    server.refresh_in = 0.1
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        dies_at = source.get().expires_at
        for method in ("GetToken", "WatchToken"):
            server.fail(method, grpc.StatusCode.UNAVAILABLE, "ISSUER_UNAVAILABLE", remedy="Look at the issuer.")
        server.stop()
        server.start()
        with pytest.raises(TokenExpired) as caught:
            read_for_ever(source)
        assert monotonic() >= dies_at
    assert "failed" in str(caught.value)
    assert caught.value.remedy == "Look at the issuer."
    assert isinstance(caught.value.__cause__, Unavailable)


def test_an_unreachable_server_is_named_when_the_token_is_dead(server: ScriptedServer) -> None:
    """The remedy of the cause comes along."""
    server.lifetime, server.refresh_in = 0.3, 0.2
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        server.stop()
        with pytest.raises(TokenExpired) as caught:
            read_for_ever(source)
    assert server.target in str(caught.value)
    assert isinstance(caught.value.__cause__, Unreachable)


def test_after_an_outage_it_goes_on_by_itself(server: ScriptedServer) -> None:
    """It need not be made again."""
    server.lifetime, server.refresh_in = 0.3, 0.2
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        first = source.get()
        server.stop()
        with pytest.raises(TokenExpired):
            read_for_ever(source)
        server.lifetime, server.refresh_in = 3600.0, 3000.0
        server.start()
        server.publish()
        assert source.wait_until_updated(first, timeout=20.0).generation == 102


def test_sixteen_threads_that_saw_a_401_make_one_report(server: ScriptedServer, source: TokenSource) -> None:
    """And all get the same successor."""
    refused = source.get()
    gate = server.hold("RejectToken")
    with ThreadPoolExecutor(16) as threads:
        successors = [threads.submit(source.reject, refused) for _ in range(16)]
        server.wait_for(lambda calls: calls["RejectToken"])
        gate.set()
        generations = {each.result(10).generation for each in successors}
    assert generations == {102}
    assert source.reject(refused).generation == 102
    assert server.calls["RejectToken"] == 1


def test_a_report_made_while_the_watch_is_being_opened_is_not_kept_waiting(server: ScriptedServer) -> None:
    """The thread looks again before it settles down to watch."""
    opening, opened = threading.Event(), threading.Event()

    class SlowToOpen(TokenClient):
        def watch(
            self, client: str, audience: str = "", scopes: Iterable[str] = (), *, timeout: float | None = None
        ) -> Watch:
            opening.set()
            assert opened.wait(10)
            return super().watch(client, audience, scopes, timeout=timeout)

    with SlowToOpen(server.target) as client, TokenSource(CLIENT, AUDIENCE, via=client) as source:
        assert opening.wait(10)
        with ThreadPoolExecutor(1) as threads:
            rejecting = threads.submit(source.reject, source.get())
            assert source._wake.wait(10)
            opened.set()
            assert rejecting.result(10).generation == 102


def test_a_rejected_token_is_not_served_while_its_successor_is_minted(
    server: ScriptedServer, source: TokenSource
) -> None:
    """`token` raises, `get` waits."""
    refused = source.get()
    gate = server.hold("GetToken")
    with ThreadPoolExecutor(2) as threads:
        rejecting = threads.submit(source.reject, refused)
        server.wait_for(lambda calls: calls["GetToken"] == 2)
        with pytest.raises(TokenExpired):
            source.token()
        getting = threads.submit(source.get)
        gate.set()
        assert rejecting.result(10).generation == getting.result(10).generation == 102


def test_a_refused_report_leaves_the_token_in_use(server: ScriptedServer, source: TokenSource) -> None:
    """Too many rotations: the 401 has another cause, or its time has not come. It is not asked again before that."""
    server.fail("RejectToken", grpc.StatusCode.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", retry_after=30.0)
    for _ in range(2):
        with pytest.raises(Exception, match="RejectToken failed") as caught:
            source.reject(source.get())
        assert getattr(caught.value, "retry_after", None) == 30.0
    assert server.calls["RejectToken"] == 1
    assert source.get().generation == 101


def test_a_reject_without_a_successor_says_why(server: ScriptedServer, source: TokenSource) -> None:
    """The issuer is down: the fetch's error, at once, not a time-out."""
    server.fail("GetToken", grpc.StatusCode.FAILED_PRECONDITION, "ISSUER_REFUSED")
    with pytest.raises(Refused) as caught:
        source.reject(source.get())
    assert caught.value.reason == "ISSUER_REFUSED"
    with pytest.raises(TokenExpired):
        source.token()


def test_a_reject_ends_at_its_deadline(server: ScriptedServer, source: TokenSource) -> None:
    """Every wait has an end."""
    gate = server.hold("RejectToken")
    with pytest.raises(Unavailable) as caught:
        source.reject(source.get(), timeout=0.1)
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    gate.set()


@pytest.mark.parametrize("seconds", [1 << 62, -(1 << 62)])
def test_a_time_that_no_calendar_has_is_no_error(server: ScriptedServer, source: TokenSource, seconds: int) -> None:
    """It is for people alone: what counts is how long the token lives."""
    before = source.get()
    server.expire_time = seconds
    server.publish()
    assert source.wait_until_updated(before).expire_time.year in (1, 9999)


@pytest.mark.parametrize("what", ["a fetch", "a watch"])
def test_nothing_unforeseen_ends_the_worker(
    server: ScriptedServer,
    source: TokenSource,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It counts as a failed call, is logged by its kind, and the next call succeeds."""
    before, failures = source.get(), iter([RuntimeError("canary")])
    # A watch reads its messages by it, a fetch calls it.
    place, name = (TokenClient, "get") if what == "a fetch" else (_wire, "token_of")
    real = getattr(place, name)

    def fails_once(*arguments: object, **named: object) -> object:
        for failure in failures:
            raise failure
        return real(*arguments, **named)

    monkeypatch.setattr(place, name, fails_once)
    if what == "a fetch":
        with pytest.raises(MintonceError) as caught:
            source.reject(before)
        assert "canary" not in str(caught.value)
    server.publish()
    assert source.wait_until_updated(before, timeout=20.0).is_live
    assert caplog.messages == ["a call failed in a way that it never should: RuntimeError"]


def test_closing_ends_the_thread_and_the_watch(server: ScriptedServer) -> None:
    """Nothing is left, and later callers get an error."""
    source = TokenSource(CLIENT, AUDIENCE, via=server.target)
    server.wait_for(lambda calls: calls["WatchToken"])
    source.close()
    source.close()
    assert f"mintonce-{CLIENT}" not in {each.name for each in threading.enumerate()}
    gc.collect()


def test_after_closing_every_read_raises_closed(server: ScriptedServer) -> None:
    """Although the token lives on: a program that uses a closed source has a mistake that should show at once."""
    source = TokenSource(CLIENT, AUDIENCE, via=server.target)
    token = source.get()
    source.close()
    reads: list[Callable[[], object]] = [
        source.get,
        source.token,
        source.header,
        lambda: source.reject(token),
        lambda: source.wait_until_updated(token),
    ]
    for read in reads:
        with pytest.raises(Closed):
            read()
    assert token.is_live


@pytest.mark.parametrize("waits", ["get", "reject", "wait_until_updated"])
def test_who_waits_when_it_is_closed_gets_closed(server: ScriptedServer, waits: str) -> None:
    """At once, not at the deadline."""
    server.lifetime, server.refresh_in = (0.0, 0.0) if waits == "get" else (3600.0, 3000.0)
    gates = [server.hold("RejectToken")]
    source = TokenSource(CLIENT, AUDIENCE, via=server.target, timeout=30.0)
    gates.append(server.hold("GetToken"))
    given = () if waits == "get" else (source.get(),)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(getattr(source, waits), *given)
        server.wait_for(lambda calls: calls["WatchToken"] if waits == "wait_until_updated" else sum(calls.values()) > 1)
        started = monotonic()
        source.close()
        with pytest.raises(Closed):
            waiting.result()
        assert monotonic() - started < 15.0
    for gate in gates:
        gate.set()


@pytest.mark.parametrize("wait", [30.0, 0.0])
def test_it_can_wait_for_a_server_that_is_not_there_yet(server: ScriptedServer, wait: float) -> None:
    """Where everything starts in any order. By default a wrong address shows at once."""
    server.stop()
    if not wait:
        with pytest.raises(Unreachable):
            TokenSource(CLIENT, AUDIENCE, via=server.target)
        return
    with ThreadPoolExecutor(1) as pool, TokenClient(server.target) as probe:
        opening = pool.submit(TokenSource, CLIENT, AUDIENCE, via=server.target, wait_for_server=wait)
        with pytest.raises(Unreachable):
            probe.get(CLIENT, AUDIENCE)
        server.start()
        with opening.result() as source:
            assert source.token().generation == 101


def test_a_server_that_drains_is_waited_for_too(server: ScriptedServer) -> None:
    """Its successor has the address soon."""
    server.fail("GetToken", grpc.StatusCode.UNAVAILABLE, "DRAINING", times=5)
    with TokenSource(CLIENT, AUDIENCE, via=server.target, wait_for_server=30.0) as source:
        assert source.token().generation == 101


def test_the_wait_for_a_server_ends(server: ScriptedServer) -> None:
    """With the error of the last try, and with nothing left behind."""
    server.stop()
    started = monotonic()
    with pytest.raises(Unreachable) as caught:
        TokenSource(CLIENT, AUDIENCE, via=server.target, wait_for_server=0.5)
    assert server.target in str(caught.value)
    assert monotonic() - started >= 0.5
    assert f"mintonce-{CLIENT}" not in {each.name for each in threading.enumerate()}


def test_a_refusal_is_not_waited_for(server: ScriptedServer) -> None:
    """Only a server that is not there may come."""
    server.fail("GetToken", grpc.StatusCode.NOT_FOUND, "UNKNOWN_CLIENT")
    with pytest.raises(Refused):
        TokenSource(CLIENT, AUDIENCE, via=server.target, wait_for_server=3600.0)
    assert server.calls["GetToken"] == 1


def test_a_shared_client_is_left_open(server: ScriptedServer) -> None:
    """Many sources may share one channel."""
    with TokenClient(server.target) as client:
        with TokenSource(CLIENT, AUDIENCE, via=client), TokenSource(CLIENT, "other", via=client) as second:
            assert second.get().generation == 101
        assert client.get(CLIENT, AUDIENCE).generation == 101


def test_closing_does_not_wait_for_a_server_that_hangs(server: ScriptedServer) -> None:
    """Its own channel takes the calls down with it."""
    server.lifetime, server.refresh_in = 1.0, 0.0
    gate = server.hold("WatchToken")
    source = TokenSource(CLIENT, AUDIENCE, via=server.target, timeout=60.0)
    server.hold("GetToken")
    server.wait_for(lambda calls: calls["GetToken"] > 1)
    before = monotonic()
    source.close()
    assert monotonic() - before < 5.0
    gate.set()
