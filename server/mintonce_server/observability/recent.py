"""What happened here lately, for the status page: bounded, in memory, fed by the event sink."""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.errors import IssuerError
from mintonce_server.core.events import Cause
from mintonce_server.core.findings import duration
from mintonce_server.core.status import (
    MINUTES,
    CallerRow,
    EventRow,
    Failed,
    KeyFailure,
    Level,
    Mints,
)
from mintonce_server.core.text import visible
from mintonce_server.observability.timings import Timings

MOST_EVENTS: Final = 50
MOST_CALLERS: Final = 50
MOST_FAILURES: Final = 1000
"""Keys whose last failure is remembered."""
MAX_TEXT: Final = 300
REPEATS_WITHIN: Final = 1.0
"""Seconds within which the same kind of event is one line, so that a flood of one kind does not push out the rest."""

_LEVELS: Final[Mapping[type[events.Event], Level]] = {
    events.MintFailed: Level.TROUBLE,
    events.StoreFailed: Level.TROUBLE,
    events.CommitRefused: Level.NOTICE,
    events.LeaseLost: Level.NOTICE,
    events.Reissued: Level.NOTICE,
    events.BarrierRaised: Level.NOTICE,
    events.Rejected: Level.NOTICE,
    events.BudgetReached: Level.NOTICE,
}
_KINDS: Final[Mapping[type[events.Event], str]] = {
    events.Minted: "minted",
    events.MintFailed: "mint failed",
    events.CommitRefused: "commit refused",
    events.LeaseLost: "lease lost",
    events.Rejected: "rejected",
    events.Restored: "restored",
    events.Adopted: "adopted",
    events.BarrierRaised: "barrier raised",
    events.Repeated: "issuer repeated token",
    events.Reissued: "issuer reissued token",
    events.StoreFailed: "store failed",
    events.BudgetReached: "budget reached",
}
"""Those that are shown. The others are routine."""


@dataclass(slots=True)
class Standing:
    """How POSTs of an issuer or a client went. Times are on the monotonic clock."""

    posts: int = 0
    failures: int = 0
    succeeded_at: float | None = None
    failed_at: float | None = None
    failing_since: float = 0.0
    error: IssuerError | None = None
    timings: Timings = field(default_factory=Timings)

    def succeeded(self, now: float, seconds: float) -> None:
        self.posts += 1
        self.succeeded_at = now
        self.timings.add(now, seconds)

    def failed(self, now: float, seconds: float, error: IssuerError) -> None:
        if not self.is_failing:
            self.failing_since = now
        self.posts += 1
        self.failures += 1
        self.failed_at, self.error = now, error
        self.timings.add(now, seconds)

    @property
    def is_failing(self) -> bool:
        """Whether the last POST failed."""
        return self.failed_at is not None and (self.succeeded_at is None or self.succeeded_at < self.failed_at)

    def succeeded_ago(self, now: float) -> float | None:
        return None if self.succeeded_at is None else now - self.succeeded_at

    def last_failure(self, now: float) -> Failed | None:
        """The last one, also if something has succeeded since."""
        if self.failed_at is None or self.error is None:
            return None
        ago, error = now - self.failed_at, self.error
        return Failed(
            ago=ago,
            since=now - self.failing_since,
            reason=error.reason.value,
            issuer_error=error.issuer_error,
            detail=visible(str(error), MAX_TEXT),
            remedy=visible(error.remedy, MAX_TEXT),
            retry_in=max(0.0, error.retry_after - ago) if error.retry_after is not None else None,
            lasting=self.is_failing,
        )


class PerMinute:
    """Counts of the last sixty minutes."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque([0] * MINUTES, maxlen=MINUTES)
        self._minute = -1

    def add(self, now: float) -> None:
        """One more, now."""
        self._turn(now)
        self._counts[-1] += 1

    def counts(self, now: float) -> tuple[int, ...]:
        """Oldest first."""
        self._turn(now)
        return tuple(self._counts)

    def _turn(self, now: float) -> None:
        minute = int(now // 60.0)
        passed = min(minute - self._minute, MINUTES)
        if passed > 0:
            self._counts.extend([0] * passed)
            self._minute = minute


@dataclass(slots=True)
class _Denied:
    denials: int = 0
    at: float = 0.0
    why: str = ""
    act: str = ""


class Recent:
    """A part of the event sink, and what the page asks. `issuer_of`: the issuer's name for each client."""

    def __init__(self, clock: Clock, issuer_of: Mapping[str, str]) -> None:
        self._clock = clock
        self._issuer_of = issuer_of
        self.issuers = {name: Standing() for name in issuer_of.values()}
        self.clients = {name: Standing() for name in issuer_of}
        self.failures: OrderedDict[str, KeyFailure] = OrderedDict()
        """By key hash."""
        self._minutes = {cause: PerMinute() for cause in Cause}
        self._failed = PerMinute()
        self._events: deque[tuple[float, EventRow]] = deque(maxlen=MOST_EVENTS)
        self._denied: OrderedDict[str, _Denied] = OrderedDict()

    def __call__(self, event: events.Event) -> None:
        """Take note of an event."""
        now = self._clock.monotonic()
        match event:
            case events.Minted():
                for standing in self._standings(event.client):
                    standing.succeeded(now, event.seconds)
                self._minutes[event.cause].add(now)
                self.failures.pop(event.key_hash, None)
            case events.MintFailed():
                self._mint_failed(event, now)
            case _:
                pass
        self._remember(event, now)

    def denied(self, caller: str, why: str, act: str) -> None:
        """A caller was denied something. `caller`: "" if it proved no identity."""
        known = self._denied.setdefault(caller, _Denied())
        known.denials += 1
        known.at, known.why, known.act = self._clock.monotonic(), why, act
        self._denied.move_to_end(caller)
        if len(self._denied) > MOST_CALLERS:
            self._denied.popitem(last=False)

    def denied_callers(self) -> tuple[CallerRow, ...]:
        """The last ones first."""
        now = self._clock.monotonic()
        rows = [CallerRow(name, each.denials, now - each.at, each.why, each.act) for name, each in self._denied.items()]
        return tuple(reversed(rows))

    def last_events(self) -> tuple[EventRow, ...]:
        """The last ones first."""
        now = self._clock.monotonic()
        return tuple(_aged(row, now - at) for at, row in reversed(self._events))

    def mints(self) -> Mints:
        """POSTs a minute."""
        now = self._clock.monotonic()
        by_cause = {cause: minutes.counts(now) for cause, minutes in self._minutes.items()}
        return Mints(by_cause, self._failed.counts(now))

    def _standings(self, client: str) -> tuple[Standing, ...]:
        issuer = self._issuer_of.get(client)
        return (self.issuers[issuer], self.clients[client]) if issuer is not None else ()

    def _mint_failed(self, event: events.MintFailed, now: float) -> None:
        if event.posted:
            for standing in self._standings(event.client):
                standing.failed(now, event.seconds, event.error)
            self._minutes[event.cause].add(now)
            self._failed.add(now)
        text = " ".join(part for part in (event.reason.value, event.issuer_error) if part)
        self.failures[event.key_hash] = KeyFailure(now, now + event.retry_after, text)
        self.failures.move_to_end(event.key_hash)
        if len(self.failures) > MOST_FAILURES:
            self.failures.popitem(last=False)

    def _remember(self, event: events.Event, now: float) -> None:
        kind = _KINDS.get(type(event))
        if kind is None:
            return
        row = EventRow(
            ago=0.0,
            kind=kind,
            level=_LEVELS.get(type(event), Level.WELL),
            key_hash=event.key_hash,
            client=getattr(event, "client", ""),
            text=visible(_text_of(event), MAX_TEXT),
            remedy=visible(event.remedy, MAX_TEXT) if isinstance(event, events.MintFailed) else "",
        )
        if self._events:
            at, last = self._events[-1]
            if last == row and now - at <= REPEATS_WITHIN:
                return
        self._events.append((now, row))


def _aged(row: EventRow, ago: float) -> EventRow:
    return EventRow(ago, row.kind, row.level, row.key_hash, row.client, row.text, row.remedy)


def _text_of(event: events.Event) -> str:
    match event:
        case events.Minted():
            return f"{event.cause}: took {event.seconds:.2f} s, lives {duration(event.lifetime)}"
        case events.MintFailed():
            code = f" ({event.issuer_error})" if event.issuer_error else ""
            return f"{event.reason}{code}: {event.detail}"
        case events.StoreFailed():
            return event.detail
        case events.CommitRefused():
            return str(event.refusal)
        case events.BudgetReached():
            return f"{event.percent}% of the {event.window}: {event.used:,} of {event.budget:,}"
        case events.Rejected():
            what = "the current token" if event.was_current else "a token that was not current"
            return f"{what}, by {event.caller}" if event.caller else what
        case _:
            return ""
