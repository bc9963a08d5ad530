"""requests with MintonceAuth, against a real API that refuses rejected tokens."""

import io
import logging
from collections.abc import Iterator

import grpc
import pytest
import requests

from mintonce import TokenSource
from mintonce.integrations.requests import MintonceAuth
from support.guarded_api import GuardedApi
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer

OLD, NEW = "Bearer secret-101", "Bearer secret-102"


@pytest.fixture
def source(server: ScriptedServer) -> Iterator[TokenSource]:
    with TokenSource(CLIENT, AUDIENCE, via=server.target) as made:
        yield made


@pytest.fixture
def session(source: TokenSource) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.auth = MintonceAuth(source)
        yield made


def test_the_token_is_sent(session: requests.Session) -> None:
    """As a Bearer header, on every request."""
    with GuardedApi(OLD) as api:
        assert [session.post(api.url).status_code for _ in range(2)] == [200, 200]


def test_after_a_401_the_request_is_repeated_once_with_the_successor(
    server: ScriptedServer, session: requests.Session
) -> None:
    """The first answer is in the history, as with requests' own digest authentication."""
    with GuardedApi(NEW) as api:
        answer = session.post(api.url, json={"a": 1})
    assert answer.status_code == 200
    assert [each.status_code for each in answer.history] == [401]
    assert api.seen == [(OLD, b'{"a": 1}'), (NEW, b'{"a": 1}')]
    assert server.calls["RejectToken"] == 1


def test_a_second_401_is_the_callers(server: ScriptedServer, session: requests.Session) -> None:
    """No loop."""
    with GuardedApi() as api:
        assert session.post(api.url).status_code == 401
    assert [header for header, _ in api.seen] == [OLD, NEW]
    assert server.calls["RejectToken"] == 1


def test_a_file_is_sent_again_from_where_it_was(session: requests.Session) -> None:
    """Not from its start, and not from its end."""
    body = io.BytesIO(b"skipped,sent")
    body.seek(8)
    with GuardedApi(NEW) as api:
        assert session.post(api.url, data=body).status_code == 200
    assert api.seen == [(OLD, b"sent"), (NEW, b"sent")]


def test_a_body_that_was_a_stream_is_not_sent_twice(server: ScriptedServer, session: requests.Session) -> None:
    """The token is rejected all the same, so that the next request is well."""
    with GuardedApi(NEW) as api:
        assert session.post(api.url, data=iter([b"once"])).status_code == 401
        assert session.post(api.url).status_code == 200
    assert server.calls["RejectToken"] == 1


def test_when_the_token_cannot_be_replaced_the_401_stands(
    server: ScriptedServer, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The API's own answer, and a line in the log that says why, without the token."""
    server.fail("RejectToken", grpc.StatusCode.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", retry_after=30.0)
    caplog.set_level(logging.WARNING, "mintonce")
    with GuardedApi() as api:
        assert session.post(api.url).status_code == 401
    assert "ROTATION_TOO_SOON" in caplog.text
    assert "secret" not in caplog.text


def test_another_hosts_401_after_a_redirect_rejects_nothing(server: ScriptedServer, session: requests.Session) -> None:
    """requests did not send it our token."""
    with GuardedApi() as other, GuardedApi() as api:
        api.redirect_to = other.url.replace("127.0.0.1", "localhost")
        assert session.post(api.url).status_code == 401
    assert [header for header, _ in other.seen] == [""]
    assert server.calls["RejectToken"] == 0
