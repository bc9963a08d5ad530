"""Events of the broker that become a warning: tokens that are for another audience than the one that was asked for."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from mintonce_server.app import granted_of
from mintonce_server.core.errors import IssuerError
from mintonce_server.core.events import Cause, Minted, MintFailed
from mintonce_server.core.key import TokenKey
from mintonce_server.issuer.response import AUDIENCE_REMEDY, Grant, WrongAudience
from mintonce_server.observability import logs
from mintonce_server.observability.event_sinks import WARN_EVERY, WARNINGS_A_MINUTE, AudienceWarnings
from support.clocks import ManualClock

ASKED = "https://api.example.com/"
OTHER = ("https://other.example.com/", "b")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    logs.configure("info", "json")


def posted(
    granted: tuple[str, ...], key_hash: str = "0" * 32, asked: str = ASKED, error: IssuerError | None = None
) -> Minted | MintFailed:
    key = TokenKey.of("billing", asked)
    if error is not None:
        return MintFailed(key_hash, key, 7, Cause.ABSENT, 0.1, error, posted=True)
    return Minted(key_hash, key, 7, Cause.ABSENT, 0.1, 86400.0, "ab", "", (), granted)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_another_audience_is_reported_with_both(log: io.StringIO) -> None:
    """And with the key's hash, and what to do."""
    AudienceWarnings([], [], ManualClock(), granted_of, AUDIENCE_REMEDY).look_at(posted(OTHER))
    (line,) = lines(log)
    assert (line["event"], line["level"]) == ("audience_differs", "warning")
    assert (line["key_hash"], line["client"], line["asked"], line["granted"]) == (
        "0" * 32,
        "billing",
        ASKED,
        list(OTHER),
    )
    assert line["refused"] is False
    assert "audience_parameter" in line["remedy"]


def test_a_token_that_was_refused_for_it_is_reported_too(log: io.StringIO) -> None:
    """The error itself does not say what the token is for, since callers get it."""
    error = WrongAudience("another audience", remedy="Mend it.", grant=Grant((), OTHER))
    AudienceWarnings([], [], ManualClock(), granted_of, AUDIENCE_REMEDY).look_at(posted((), error=error))
    (line,) = lines(log)
    assert (line["granted"], line["refused"]) == (list(OTHER), True)


@pytest.mark.parametrize(
    ("event", "unchecked"),
    [(posted((ASKED, "b")), []), (posted(()), []), (posted(OTHER, asked=""), []), (posted(OTHER), ["billing"])],
    ids=["named", "opaque", "none asked for", "off"],
)
def test_others_are_not(log: io.StringIO, event: Minted, unchecked: list[str]) -> None:
    """There is nothing to compare, or the settings turn the comparison off."""
    AudienceWarnings(unchecked, [], ManualClock(), granted_of, AUDIENCE_REMEDY).look_at(event)
    assert lines(log) == []


def test_it_is_reported_now_and_then_and_not_for_each_mint(log: io.StringIO) -> None:
    """Once a key and ten minutes, and for so many keys a minute."""
    clock = ManualClock()
    warnings = AudienceWarnings([], [], clock, granted_of, AUDIENCE_REMEDY)
    for _ in range(3):
        warnings.look_at(posted(OTHER))
    assert len(lines(log)) == 1

    clock.advance(WARN_EVERY)
    warnings.look_at(posted(OTHER))
    assert len(lines(log)) == 2

    for number in range(100):
        warnings.look_at(posted(OTHER, f"{number:032x}"))
    assert len(lines(log)) <= 2 + WARNINGS_A_MINUTE
