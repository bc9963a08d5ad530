"""What a replica remembers of what happened: enough for a page, and never more than that."""

from mintonce_server.core.errors import IssuerUnavailable, Reason
from mintonce_server.core.events import (
    BudgetReached,
    Cause,
    Committed,
    Event,
    Minted,
    MintFailed,
    Rejected,
    StoreFailed,
)
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.core.status import Level
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.recent import MOST_CALLERS, MOST_EVENTS, MOST_FAILURES, Recent
from mintonce_server.observability.store_watch import StoreWatch
from mintonce_server.observability.timings import WINDOW, Timings
from support.clocks import ManualClock


def recent(clock: ManualClock) -> Recent:
    return Recent(clock, {"billing": "acme", "reports": "acme"})


def minted(client: str = "billing", cause: Cause = Cause.REFRESH, number: int = 1) -> Minted:
    key = TokenKey.of(client, f"https://api-{number}.example.com/")
    return Minted(f"{number:032x}", key, number, cause, 0.2, 3600.0, "f" * 64, "request-1")


def failed(client: str = "billing", number: int = 1, *, posted: bool = True) -> MintFailed:
    error = IssuerUnavailable("acme answered 503", remedy="Wait.", retry_after=4.0)
    key = TokenKey.of(client, f"https://api-{number}.example.com/")
    return MintFailed(f"{number:032x}", key, number, Cause.REFRESH, 0.3, error, posted)


def test_an_issuer_fails_until_it_gives_a_token() -> None:
    """Since when, how often, and what it said last; the last failure is still known after a success."""
    clock = ManualClock()
    seen = recent(clock)
    seen(minted())
    clock.advance(100.0)
    seen(failed())
    clock.advance(10.0)
    seen(failed())
    clock.advance(1.0)
    last = seen.issuers["acme"].last_failure(clock.monotonic())
    assert last is not None
    assert (last.ago, last.since, last.reason, last.lasting) == (1.0, 11.0, Reason.ISSUER_UNAVAILABLE, True)
    assert (last.retry_in, last.remedy) == (3.0, "Wait.")
    seen(minted())
    after = seen.issuers["acme"].last_failure(clock.monotonic())
    assert after is not None
    assert not after.lasting
    assert (seen.issuers["acme"].posts, seen.issuers["acme"].failures) == (4, 2)


def test_a_client_does_not_fail_with_its_neighbour() -> None:
    """They share the issuer only."""
    clock = ManualClock()
    seen = recent(clock)
    seen(failed("reports"))
    assert seen.clients["billing"].last_failure(clock.monotonic()) is None
    assert seen.clients["reports"].is_failing
    assert seen.issuers["acme"].is_failing


def test_a_client_that_is_not_configured_is_nobody() -> None:
    """It cannot be; and if it were, nothing breaks."""
    seen = recent(ManualClock())
    seen(minted("stranger"))
    assert set(seen.clients) == {"billing", "reports"}


def test_mints_are_counted_by_minute_and_cause() -> None:
    """Sixty minutes, oldest first; older ones fall off."""
    clock = ManualClock(monotonic=6000.0)
    seen = recent(clock)
    seen(minted(cause=Cause.ABSENT))
    clock.advance(60.0)
    seen(minted())
    seen(failed())
    now = seen.mints()
    assert now.by_cause[Cause.ABSENT][-2:] == (1, 0)
    assert now.by_cause[Cause.REFRESH][-2:] == (0, 2)
    assert now.failed[-2:] == (0, 1)
    clock.advance(58 * 60.0)
    assert seen.mints().by_cause[Cause.ABSENT] == (1,) + (0,) * 59
    clock.advance(1e6)
    assert set(seen.mints().by_cause[Cause.REFRESH]) == {0}


def test_a_mint_that_was_never_sent_is_no_post() -> None:
    """It failed all the same, and the key says so."""
    seen = recent(ManualClock())
    seen(failed(posted=False))
    assert sum(seen.mints().failed) == 0
    assert seen.failures[f"{1:032x}"].text == "ISSUER_UNAVAILABLE"


def test_the_last_fifty_events_are_kept() -> None:
    """The routine ones are not. Newest first."""
    clock = ManualClock()
    seen = recent(clock)
    for number in range(MOST_EVENTS + 10):
        seen(minted(number=number))
        seen(Committed(f"{number:032x}", number))
    clock.advance(5.0)
    seen(Rejected("a" * 32, 7, was_current=True, caller="key:cart"))
    events = seen.last_events()
    assert len(events) == MOST_EVENTS
    assert (events[0].kind, events[0].ago, events[0].text) == ("rejected", 0.0, "the current token, by key:cart")
    assert (events[1].kind, events[1].ago, events[1].client) == ("minted", 5.0, "billing")
    assert {event.level for event in events} == {Level.WELL, Level.NOTICE}


def test_no_event_shows_a_token_or_its_hash() -> None:
    """Not even the fingerprint that the audit log has."""
    seen = recent(ManualClock())
    seen(minted())
    assert "f" * 16 not in repr(seen.last_events())


def test_a_flood_of_one_kind_leaves_room_for_others() -> None:
    """The same words within a second are one line."""
    clock = ManualClock()
    seen = recent(clock)
    for _ in range(1000):
        seen(StoreFailed("b" * 32, "it did not answer", minting=True))
    assert len(seen.last_events()) == 1


def test_failures_of_keys_are_bounded() -> None:
    """The oldest ones go."""
    seen = recent(ManualClock())
    for number in range(MOST_FAILURES + 5):
        seen(failed(number=number))
    assert len(seen.failures) == MOST_FAILURES
    seen(minted(number=MOST_FAILURES))
    assert len(seen.failures) == MOST_FAILURES - 1


def test_denied_callers_are_counted_and_bounded() -> None:
    """Those of late stay. Without an identity all are one."""
    clock = ManualClock()
    seen = recent(clock)
    for number in range(MOST_CALLERS + 3):
        seen.denied(f"key:{number}", "PERMISSION_DENIED", "get")
    clock.advance(2.0)
    for _ in range(3):
        seen.denied("", "UNAUTHENTICATED", "watch")
    callers = seen.denied_callers()
    assert len(callers) == MOST_CALLERS
    assert (callers[0].name, callers[0].denials, callers[0].ago, callers[0].act) == ("", 3, 0.0, "watch")
    assert callers[1].name == f"key:{MOST_CALLERS + 2}"


def test_a_latency_is_of_the_last_five_minutes() -> None:
    """p50 and p99 as values that were really seen."""
    timings = Timings()
    for number in range(1, 101):
        timings.add(1000.0, number / 1000)
    assert (timings.latency(1000.0).p50, timings.latency(1000.0).p99) == (0.05, 0.099)
    timings.add(1000.0 + WINDOW, 3.0)
    assert timings.latency(1000.1 + WINDOW).count == 1
    assert timings.latency(1e6).p50 is None


def test_the_store_is_away_from_its_first_failure_to_its_next_answer() -> None:
    """With the words of the failure; before the first question nothing is known."""
    clock = ManualClock()
    store = StoreWatch(Metrics([]), clock)
    assert store.view("redis:6379").is_up is None
    store.operation("acquire", 0.001, "")
    store.operation("acquire", 0.25, "timeout")
    clock.advance(3.0)
    store.operation("acquire", 0.25, "timeout")
    store(StoreFailed("", "it did not answer", minting=False))
    store.operation("subscribe", 0.001, "")  # it sends nothing yet
    away = store.view("redis:6379")
    assert (away.is_up, away.away_for, away.detail) == (False, 3.0, "it did not answer")
    assert away.latency.count == 1
    store.operation("acquire", 0.001, "")
    assert (store.view("").is_up, store.view("").away_for, store.view("").detail) == (True, None, "")


def test_the_lag_of_wakes_is_that_of_the_own_ones() -> None:
    """No two clocks are compared."""
    clock = ManualClock()
    store = StoreWatch(Metrics([]), clock)
    store.sent(WakeKind.COMMIT, "a" * 32, 7)
    clock.advance(0.004)
    for wake in (Wake(WakeKind.COMMIT, "b" * 32, 7), Wake(WakeKind.COMMIT, "a" * 32, 7)):
        store.heard(wake)
        store.woken(wake)
    clock.advance(2.0)
    seen = store.view("")
    assert (seen.wake_lag.count, seen.wake_ago) == (1, 2.0)
    assert abs((seen.wake_lag.p50 or 0.0) - 0.004) < 1e-9


def test_a_budget_that_is_reached_is_an_event_in_numbers() -> None:
    """With the client, whose administrators may see it."""
    seen = recent(ManualClock())
    seen(BudgetReached("", "billing", "month", 80, 8000, 10_000))
    (event,) = seen.last_events()
    assert (event.kind, event.client, event.text) == ("budget reached", "billing", "80% of the month: 8,000 of 10,000")


def test_an_event_that_is_unknown_is_ignored() -> None:
    """A later version may have more."""
    seen = recent(ManualClock())
    seen(Event("a" * 32))
    assert seen.last_events() == ()
