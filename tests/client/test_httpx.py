"""httpx with MintonceAuth, against a real API that refuses rejected tokens."""

import logging
from collections.abc import Iterator

import grpc
import httpx
import pytest

from mintonce import AsyncTokenSource, TokenSource
from mintonce.integrations.httpx import MintonceAuth
from support.guarded_api import GuardedApi
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

OLD, NEW = "Bearer secret-101", "Bearer secret-102"


@pytest.fixture
def source(server: ScriptedServer) -> Iterator[TokenSource]:
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as made:
        yield made


def test_the_token_is_sent(source: TokenSource) -> None:
    """As a Bearer header, on every request."""
    with GuardedApi(OLD) as api, httpx.Client(auth=MintonceAuth(source), trust_env=False) as http:
        assert [http.post(api.url).status_code for _ in range(2)] == [200, 200]
    assert [header for header, _ in api.seen] == [OLD, OLD]


def test_after_a_401_the_request_is_repeated_once_with_the_successor(
    server: ScriptedServer, source: TokenSource
) -> None:
    """The caller sees the answer to the second, body and all."""
    with GuardedApi(NEW) as api, httpx.Client(auth=MintonceAuth(source), trust_env=False) as http:
        assert http.post(api.url, json={"a": 1}).status_code == 200
    assert api.seen == [(OLD, b'{"a":1}'), (NEW, b'{"a":1}')]
    assert server.calls["RejectToken"] == 1


def test_a_second_401_is_the_callers(server: ScriptedServer, source: TokenSource) -> None:
    """No loop: an API that refuses everybody costs one rejection."""
    with GuardedApi() as api, httpx.Client(auth=MintonceAuth(source), trust_env=False) as http:
        assert http.post(api.url).status_code == 401
    assert [header for header, _ in api.seen] == [OLD, NEW]
    assert server.calls["RejectToken"] == 1


def test_a_body_that_was_a_stream_is_not_sent_twice(server: ScriptedServer, source: TokenSource) -> None:
    """It has been read. The token is rejected all the same, so that the next request is well."""
    with GuardedApi(NEW) as api, httpx.Client(auth=MintonceAuth(source), trust_env=False) as http:
        assert http.post(api.url, content=iter([b"once"])).status_code == 401
        assert http.post(api.url).status_code == 200
    assert server.calls["RejectToken"] == 1


def test_when_the_token_cannot_be_replaced_the_401_stands(
    server: ScriptedServer, source: TokenSource, caplog: pytest.LogCaptureFixture
) -> None:
    """The API's own answer, and a line in the log that says why, without the token."""
    server.fail("RejectToken", grpc.StatusCode.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", retry_after=30.0)
    with GuardedApi() as api, httpx.Client(auth=MintonceAuth(source), trust_env=False) as http:
        caplog.set_level(logging.WARNING, "mintonce")
        assert http.post(api.url).status_code == 401
    assert "ROTATION_TOO_SOON" in caplog.text
    assert "secret" not in caplog.text


def test_another_hosts_401_after_a_redirect_rejects_nothing(server: ScriptedServer, source: TokenSource) -> None:
    """httpx did not send it our token."""
    auth = MintonceAuth(source)
    with GuardedApi() as other, GuardedApi() as api, httpx.Client(auth=auth, trust_env=False) as http:
        api.redirect_to = other.url.replace("127.0.0.1", "localhost")
        assert http.post(api.url, follow_redirects=True).status_code == 401
    assert [header for header, _ in other.seen] == [""]
    assert server.calls["RejectToken"] == 0


async def test_the_async_client_with_an_async_source(server: ScriptedServer) -> None:
    """The same on asyncio."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        with GuardedApi(NEW) as api:
            async with httpx.AsyncClient(auth=MintonceAuth(source), trust_env=False) as http:
                assert (await http.post(api.url, json={})).status_code == 200
    assert [header for header, _ in api.seen] == [OLD, NEW]
    assert server.calls["RejectToken"] == 1


async def test_the_async_client_with_a_threaded_source(server: ScriptedServer, source: TokenSource) -> None:
    """The event loop is not stopped by the wait for the successor."""
    with GuardedApi(NEW) as api:
        async with httpx.AsyncClient(auth=MintonceAuth(source), trust_env=False) as http:
            assert (await http.post(api.url, json={})).status_code == 200
    assert server.calls["RejectToken"] == 1


async def test_the_sync_client_refuses_an_async_source(server: ScriptedServer) -> None:
    """At once, with a word on what to use."""
    async with AsyncTokenSource(CLIENT, AUDIENCE, via=server.target) as source:
        flow = MintonceAuth(source).sync_auth_flow(httpx.Request("GET", "http://127.0.0.1:1/"))
        with pytest.raises(TypeError, match="use a TokenSource"):
            next(flow)
