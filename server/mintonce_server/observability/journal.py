"""Logs the broker's events: each event of core/events.py is one line."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mintonce_server.core import events
from mintonce_server.observability.logs import LEVELS, Logger

DEBUG, INFO, WARNING = "debug", "info", "warning"

JOURNAL: Final[Mapping[type[events.Event], tuple[str, str]]] = {
    events.MintStarted: ("mint_started", DEBUG),
    events.Minted: ("minted", INFO),
    events.MintFailed: ("mint_failed", WARNING),
    events.Committed: ("committed", DEBUG),
    events.CommitRefused: ("commit_refused", WARNING),
    events.LeaseLost: ("lease_lost", WARNING),
    events.Waited: ("waited", DEBUG),
    events.Refreshing: ("refreshing", DEBUG),
    events.Refreshed: ("refreshed", DEBUG),
    events.RejectedTooSoon: ("rejected_too_soon", DEBUG),
    events.Rejected: ("rejected", INFO),
    events.Restored: ("restored", INFO),
    events.Adopted: ("adopted", INFO),
    events.BarrierRaised: ("barrier_raised", WARNING),
    events.Repeated: ("issuer_repeated_token", INFO),
    events.Reissued: ("issuer_reissued_rejected_token", WARNING),
    events.StoreFailed: ("store_failed", WARNING),
    events.QuotaSaid: ("issuer_quota", DEBUG),
    events.BudgetReached: ("budget_reached", WARNING),
    events.CountsHeldUp: ("counts_held_up", WARNING),
}
"""Name and level of each event: mints and failures are logged, routine events only at debug."""


def event_sink(logger: Logger) -> events.EventSink:
    """A sink that logs. Events below the logger's level cost one table look-up."""
    writers = {kind: _writer(logger, kind, name, level) for kind, (name, level) in JOURNAL.items()}

    def sink(event: events.Event) -> None:
        if not isinstance(event, events.Unforeseen):  # that is for the fault log
            writers[type(event)](event)

    return sink


def guarded(sink: events.EventSink, report: Callable[[str, Exception], None]) -> events.EventSink:
    """The sink, with its exceptions passed to `report`: a failing log must not affect a token."""

    def write(event: events.Event) -> None:
        try:
            sink(event)
        except Exception as error:  # noqa: BLE001 - reported
            report("event sink", error)

    return write


def _writer(logger: Logger, kind: type[events.Event], name: str, level: str) -> events.EventSink:
    if not logger.is_enabled_for(LEVELS[level]):
        return _nothing
    log: Callable[..., Any] = getattr(logger, level)
    shown = kind.logged()
    return lambda event: log(name, **{field: _short(getattr(event, field)) for field in shown})


def _nothing(_: events.Event) -> None:
    """For events below the level."""


def _short(value: object) -> object:
    """Seconds, rounded to 0.1 ms."""
    return round(value, 4) if isinstance(value, float) else value
