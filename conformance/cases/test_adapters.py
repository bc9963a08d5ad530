"""HTTP clients and gRPC channels that carry the source's token."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import sleep
from typing import Any, TypeAlias

import grpc
import pytest

from conformance.harness.kit import Serve, Start
from conformance.harness.testee import Failed, Testee
from conformance.servers.api import HOSTS, Api
from conformance.servers.failures import Failure
from conformance.servers.files import Authority
from conformance.servers.scripted import FIRST, KEY, Scripted
from conformance.servers.tokens import Published
from conformance.servers.trap import network_address

Open: TypeAlias = Callable[..., Api]
NEXT = FIRST + 1
TOO_SOON = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", retry_after=30.0)


@pytest.fixture
def apis() -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda *host: stack.enter_context(Api(*host))


class Scene:
    """A source, an API, and one adapter after the other."""

    def __init__(self, testee: Testee, serve: Serve, apis: Open) -> None:
        self.testee = testee
        self._serve = serve
        self._apis = apis
        assert testee.adapters("http"), "there must be an HTTP adapter"

    def each(self) -> Iterator[tuple[str, Scripted, Api]]:
        """The adapter, and a server and an API of its own. The source is named as the adapter."""
        for adapter in self.testee.adapters("http"):
            server, api = self._serve(), self._apis()
            self.testee.call("open", source=adapter, **KEY, target=server.target)
            yield adapter, server, api

    def ask(self, adapter: str, url: str, method: str = "POST", body: Any = None) -> tuple[int, str]:
        answer = self.testee.call("http", source=adapter, adapter=adapter, method=method, url=url, body=body)
        return answer["status"], answer["body"]


@pytest.fixture
def scene(testee: Testee, serve: Serve, apis: Open) -> Scene:
    return Scene(testee, serve, apis)


def headers(*tokens: Published) -> list[str]:
    return [token.header for token in tokens]


def test_case_32_the_token_is_sent(scene: Scene) -> None:
    """With each request, and the newest from the next request on."""
    for adapter, server, api in scene.each():
        server.wait_for_watches()
        first = server.token
        assert scene.ask(adapter, api.url, "GET") == (200, "welcome"), adapter
        assert scene.ask(adapter, api.url, "POST", {"text": "order"}) == (200, "welcome"), adapter
        second = server.publish()
        scene.testee.call("updated", source=adapter, than=FIRST, timeout_ms=5000)
        assert scene.ask(adapter, api.url, "GET") == (200, "welcome"), adapter
        assert api.authorizations == headers(first, first, second), adapter
        assert [seen.body for seen in api.seen] == [b"", b"order", b""], adapter
        assert server.count("GetToken") == 1, adapter


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_case_32_a_401_rejects_and_repeats_once(scene: Scene, method: str) -> None:
    """The caller sees the second answer; the body is sent again."""
    text = "order" * 5000 if method == "POST" else ""
    for adapter, server, api in scene.each():
        first = server.token
        api.refused = {first.header}
        assert scene.ask(adapter, api.url, method, {"text": text} if text else None) == (200, "welcome"), adapter
        assert api.authorizations == headers(first, server.token), adapter
        assert {seen.body for seen in api.seen} == {text.encode()}, adapter
        assert (server.count("RejectToken"), server.count("GetToken")) == (1, 2), adapter


def test_case_32_a_second_401_is_the_callers(scene: Scene) -> None:
    """No loop: an API that refuses everybody costs one rejection."""
    for adapter, server, api in scene.each():
        api.refuses_all = True
        assert scene.ask(adapter, api.url, "POST", {"text": "order"}) == (401, "who are you?"), adapter
        assert api.authorizations == headers(*server.published), adapter
        assert len(api.seen) == 2, adapter
        assert server.count("RejectToken") == 1, adapter


def test_case_32_a_stream_is_not_repeated(scene: Scene) -> None:
    """It has been read. The token is rejected all the same, so that the next request is well."""
    for adapter, server, api in scene.each():
        first = server.token
        api.refused = {first.header}
        try:
            answer = scene.ask(adapter, api.url, "POST", {"stream": "order"})
        except pytest.skip.Exception:
            continue  # the library knows no streams
        assert answer == (401, "who are you?"), adapter
        assert api.authorizations == headers(first), adapter
        assert server.count("RejectToken") == 1, adapter
        assert scene.ask(adapter, api.url, "POST", {"text": "order"}) == (200, "welcome"), adapter


def test_case_32_a_redirect_to_another_host(scene: Scene, apis: Open) -> None:
    """It gets no token, and its 401 rejects nothing."""
    for adapter, server, api in scene.each():
        other = apis(HOSTS[1])
        other.refuses_all = True
        api.redirect_to = other.url
        try:
            answer = scene.ask(adapter, api.url, "GET")
        except pytest.skip.Exception:
            continue  # the library follows none
        assert answer == (401, "who are you?"), adapter
        assert other.authorizations == [""], adapter
        assert server.count("RejectToken") == 0, adapter


def test_case_32_the_rejection_fails(scene: Scene, start: Start) -> None:
    """The API's own 401 is the answer, and one warning says why."""
    for adapter, server, api in scene.each():
        testee = start({})
        testee.call("open", source="s", **KEY, target=server.target)
        server.fail("RejectToken", TOO_SOON)
        api.refuses_all = True
        answer = testee.call("http", source="s", adapter=adapter, method="GET", url=api.url)
        assert answer == {"status": 401, "body": "who are you?"}, adapter
        assert api.authorizations == headers(server.token), adapter
        warnings = testee.call("logs")["warnings"]
        assert len(warnings) == 1, (adapter, warnings)
        assert "ROTATION_TOO_SOON" in warnings[0], adapter


def test_case_32_many_at_once_are_one_rejection(scene: Scene) -> None:
    """20 requests with the same dead token."""
    for adapter, server, api in scene.each():
        first = server.token
        api.refused = {first.header}
        of = {"op": "http", "source": adapter, "adapter": adapter, "method": "GET", "url": api.url}
        results = scene.testee.call("burst", n=20, of=of)["results"]
        assert [result.get("ok", result) for result in results] == [{"status": 200, "body": "welcome"}] * 20, adapter
        assert server.count("RejectToken") == 1, adapter


def test_case_32_without_a_token_nothing_is_sent(scene: Scene) -> None:
    """The source's error is the caller's."""
    for adapter, server, api in scene.each():
        server.wait_for_watches()
        server.fail("GetToken", Failure(grpc.StatusCode.FAILED_PRECONDITION, "ISSUER_REFUSED"))
        with pytest.raises(Failed):
            scene.testee.call("reject", source=adapter, generation=FIRST, timeout_ms=5000)
        failed = scene.testee.fails("http", source=adapter, adapter=adapter, method="GET", url=api.url)
        assert (failed.kind, failed.cause) == ("TokenExpired", "ISSUER_REFUSED"), adapter
        assert api.seen == [], adapter


def test_case_33_a_header_a_call(testee: Testee, serve: Serve, tmp_path: Any) -> None:
    """Over TLS, and the newest token from the next call on."""
    authority = Authority(tmp_path / "api")
    tls = authority.tls()
    assert testee.adapters("grpc"), "there must be a gRPC adapter"
    for adapter in testee.adapters("grpc"):
        server, api = serve(), serve(credentials=authority.server())
        testee.call("open", source=adapter, **KEY, target=server.target)
        server.wait_for_watches()
        first = server.token
        how = {"source": adapter, "adapter": adapter, "target": api.target, "tls": tls}
        assert [testee.call("grpc_call", **how)["code"] for _ in range(2)] == ["OK", "OK"], adapter
        second = server.publish()
        testee.call("updated", source=adapter, than=FIRST, timeout_ms=5000)
        assert testee.call("grpc_call", **how) == {"code": "OK"}, adapter
        assert [call.authorization for call in api.calls] == headers(first, first, second), adapter


def test_case_33_in_clear_on_loopback(testee: Testee, serve: Serve) -> None:
    """By the way that the client documents."""
    for adapter in testee.adapters("grpc"):
        server, api = serve(), serve()
        testee.call("open", source=adapter, **KEY, target=server.target)
        answer = testee.call("grpc_call", source=adapter, adapter=adapter, target=api.target)
        assert answer == {"code": "OK"}, adapter
        assert [call.authorization for call in api.calls] == headers(server.token), adapter


def test_case_33_never_in_clear_to_others(testee: Testee, serve: Serve) -> None:
    """By this host's own address in the network: the call fails, and no header arrives."""
    address = network_address()
    if address is None:
        pytest.skip("this host is in no network")
    for adapter in testee.adapters("grpc"):
        server, api = serve(), serve(f"{address}:0")
        testee.call("open", source=adapter, **KEY, target=server.target)
        calling = testee.start("grpc_call", source=adapter, adapter=adapter, target=api.target)
        answer = calling.answer.result(15)
        assert answer.get("ok", {}).get("code") != "OK", adapter
        sleep(0.2)
        assert [call.authorization for call in api.calls if call.authorization] == [], adapter


def test_case_33_without_a_token_the_call_fails(testee: Testee, serve: Serve) -> None:
    """At once, and without a header."""
    for adapter in testee.adapters("grpc"):
        server, api = serve(), serve()
        testee.call("open", source=adapter, **KEY, target=server.target)
        server.fail("GetToken", Failure(grpc.StatusCode.FAILED_PRECONDITION, "ISSUER_REFUSED"))
        testee.fails("reject", source=adapter, generation=FIRST, timeout_ms=5000)
        calling = testee.start("grpc_call", source=adapter, adapter=adapter, target=api.target)
        answer = calling.answer.result(15)
        assert answer.get("ok", {}).get("code") != "OK", adapter
        assert api.calls == [], adapter
