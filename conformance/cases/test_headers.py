"""Tokens that no Authorization header can hold: an issuer's mistake, or somebody's attempt to add headers."""

from typing import Any

import pytest

from conformance.harness.kit import Serve
from conformance.harness.testee import Failed, Testee
from conformance.servers.scripted import FIRST, KEY, Scripted

SECRET = "secret-that-no-header-can-hold"
WRONG: dict[str, dict[str, Any]] = {
    "empty": {"text": ""},
    "a space": {"text": f"{SECRET} more"},
    "a new line": {"text": f"{SECRET}\r\nX-Evil: 1"},
    "a control": {"text": f"{SECRET}\x1b[31m"},
    "not ASCII": {"text": f"{SECRET}\u00e9"},
    "a type of two words": {"token_type": "Bearer x"},
    "a type with a new line": {"token_type": "Bearer\r\nX-Evil: 1"},
    "a type that is not ASCII": {"token_type": "B\u00e9arer"},
}


@pytest.fixture
def canaries() -> list[str]:
    return [SECRET, "X-Evil: 1"]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_case_38_a_token_that_no_header_can_hold_is_refused(
    testee: Testee, serve: Serve, wrong: dict[str, Any]
) -> None:
    """By the client, a source that opens, and a watch."""
    server = serve(**wrong)
    testee.call("client_open", conn="c", target=server.target)
    must_be_refused(testee.fails("client_get", conn="c", **KEY))
    must_be_refused(testee.fails("client_watch", conn="c", **KEY, count=1, timeout_ms=5000))
    must_be_refused(testee.fails("open", source="s", **KEY, target=server.target))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_case_38_the_one_before_it_stays(testee: Testee, server: Scripted, wrong: dict[str, Any]) -> None:
    """A source that such a token is pushed to goes on, and takes the next good one."""
    testee.call("open", source="s", **KEY, target=server.target)
    server.wait_for_watches()
    good = server.token
    server.publish(**wrong)
    server.wait_for_calls("WatchToken", 2)
    assert testee.call("token", source="s")["sha256"] == good.sha256
    successor = server.publish()
    updated = testee.call("updated", source="s", than=FIRST, timeout_ms=10_000)
    assert updated["sha256"] == successor.sha256


@pytest.mark.parametrize("kind", ["token", "Token68-is+fine", "bEARER", ""])
def test_case_38_unusual_types_are_no_fault(testee: Testee, serve: Serve, kind: str) -> None:
    """Whatever RFC 9110 calls a token, and none at all."""
    server = serve(token_type=kind)
    assert testee.call("open", source="s", **KEY, target=server.target)["type"] == kind


def test_case_38_each_visible_character_is_fine(testee: Testee, serve: Serve) -> None:
    """Issuers do not keep to the alphabet of RFC 6750."""
    server = serve(text="secret-" + "".join(map(chr, range(0x21, 0x7F))))
    token = testee.call("open", source="s", **KEY, target=server.target)
    assert token["header_sha256"] == server.published[0].header_sha256


def must_be_refused(failed: Failed) -> None:
    assert (failed.kind, failed.reason, failed.code) == ("Other", "INTERNAL", "UNKNOWN")
    assert failed.message == "the server sent a token that no header can hold"
    assert failed.remedy
