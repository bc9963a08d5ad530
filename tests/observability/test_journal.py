"""Each event of the broker becomes one log line."""

import inspect
import io
import json
from collections.abc import Callable

import pytest

from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.core import events
from mintonce_server.core.errors import IssuerRefused
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Refusal
from mintonce_server.observability import logs
from mintonce_server.observability.journal import JOURNAL, event_sink

Configure = Callable[..., io.StringIO]

HASH = "0" * 32
KEY = TokenKey.of("billing", "https://api.example.com/")


def test_every_event_has_a_name_and_a_level() -> None:
    """An event that is added to core must be added to the table."""
    kinds = {kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, events.Event)}

    elsewhere = {events.Unforeseen}  # the fault log
    assert set(JOURNAL) == kinds - {events.Event} - elsewhere
    assert {level for _, level in JOURNAL.values()} <= set(logs.LEVELS)


@pytest.mark.parametrize(
    ("event", "name", "level"),
    [
        (events.MintStarted(HASH, "billing", 7, events.Cause.ABSENT), "mint_started", "debug"),
        (events.Minted(HASH, KEY, 7, events.Cause.ABSENT, 0.1, 86400.0, "ab", ""), "minted", "info"),
        (events.Committed(HASH, 7), "committed", "debug"),
        (events.CommitRefused(HASH, 7, Refusal.STALE), "commit_refused", "warning"),
        (events.LeaseLost(HASH, 7), "lease_lost", "warning"),
        (events.Waited(HASH, 7, 0.2), "waited", "debug"),
        (events.Rejected(HASH, 7, True), "rejected", "info"),
        (events.StoreFailed(HASH, "down", True), "store_failed", "warning"),
    ],
)
def test_an_event_is_a_line_with_its_fields(configure: Configure, event: events.Event, name: str, level: str) -> None:
    """The name in snake case, the level of the table, the key's hash."""
    stream = configure("debug")

    event_sink(logs.get_logger("broker"))(event)

    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["key_hash"]) == (name, level, HASH)


def test_a_failed_mint_tells_why(configure: Configure) -> None:
    """The issuer's code and the reason are there, and a secret in the detail is not."""
    stream = configure("info")
    detail = "refused: client_secret=canary"

    error = IssuerRefused(detail, remedy="Mend it.", retry_after=30.0, issuer_error="invalid_client")
    event_sink(logs.get_logger("broker"))(events.MintFailed(HASH, KEY, 7, events.Cause.ABSENT, 0.1, error, posted=True))

    line = json.loads(stream.getvalue())
    assert (line["reason"], line["issuer_error"], line["retry_after"]) == ("ISSUER_REFUSED", "invalid_client", 30.0)
    assert line["detail"] == "refused: client_secret=[redacted]"


def test_what_the_level_suppresses_is_not_written(configure: Configure) -> None:
    """At info, everyday events cost next to nothing."""
    stream = configure("info")

    event_sink(logs.get_logger("broker"))(events.Waited(HASH, 7, 0.2))

    assert stream.getvalue() == ""


def test_the_system_s_clock_is_a_clock() -> None:
    """Monotonic time never goes back; Unix time is this century's."""
    clock: Clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()
    assert clock.unix() > 1_700_000_000
