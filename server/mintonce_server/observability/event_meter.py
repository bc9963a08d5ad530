"""Counts the broker's events: POSTs, commits, refreshes, rejections, back-offs."""

from collections.abc import Callable, Mapping
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Refusal
from mintonce_server.observability.metrics import Metrics

OUTCOMES: Final[Mapping[Reason, str]] = {
    Reason.ISSUER_REFUSED: "refused",
    Reason.ISSUER_THROTTLED: "throttled",
    Reason.ISSUER_UNAVAILABLE: "unavailable",
    Reason.ISSUER_MALFORMED: "malformed",
}
MINTED: Final = "minted"
REMEMBERED: Final = 10_000
"""Keys in back-off."""


class EventMeter:
    """An events.EventSink. `issuers`: the issuer of each configured client, by name.

    Attributes:
        exemplar: names the trace of this task, if it is recorded. None: no traces.
    """

    def __init__(self, metrics: Metrics, issuers: Mapping[str, str], clock: Clock) -> None:
        self._metrics = metrics
        self._mints, self._tokens = metrics.mints, metrics.tokens
        self._issuers = issuers
        self._clock = clock
        self.exemplar: Callable[[], dict[str, str] | None] | None = None
        self._backoffs: dict[str, tuple[str, float]] = {}
        self._begin()
        metrics.before_scrape.append(self._set_backoffs)

    def _begin(self) -> None:
        """A counter that appears only with its first event hides that event from `increase()`."""
        for client, issuer in self._issuers.items():
            name = self._metrics.client(client)
            for cause in events.Cause:
                for outcome in (MINTED, *OUTCOMES.values()):
                    self._mints.posts.labels(name, issuer, cause.value, outcome)
            for result in ("current", "other", "too_soon"):
                self._mints.rejections.labels(name, result)
        for result in ("ok", "store_unavailable", *(refusal.value.lower() for refusal in Refusal)):
            self._mints.commits.labels(result)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.Minted():
                self._posted(event, MINTED)
                self._mints.token_lifetime.labels(self._issuer(event.client)).observe(event.lifetime)
                self._backoffs.pop(event.key_hash, None)
            case events.MintFailed(posted=True):
                self._posted(event, OUTCOMES.get(event.reason, "unavailable"))
                self._note_backoff(event)
            case events.Committed():
                self._mints.commits.labels("ok").inc()
            case events.CommitRefused(refusal=refusal):
                self._mints.commits.labels(refusal.value.lower()).inc()
            case events.StoreFailed(minting=True):
                self._mints.commits.labels("store_unavailable").inc()
            case events.LeaseLost():
                self._mints.leases_lost.inc()
            case events.Waited(seconds=seconds, result=result):
                self._mints.lease_wait.labels(result).observe(seconds)
            case events.Refreshing(lag=lag):
                self._tokens.refresh_lag.observe(lag)
            case events.Refreshed(lead=lead):
                self._tokens.refresh_lead.observe(lead)
            case events.Rejected(client=client, was_current=was_current):
                self._rejected(client, "current" if was_current else "other")
            case events.RejectedTooSoon(client=client):
                self._rejected(client, "too_soon")
            case events.Restored():
                self._metrics.store.restored.inc()
            case _:
                pass

    def _posted(self, event: events.Minted | events.MintFailed, outcome: str) -> None:
        issuer = self._issuer(event.client)
        self._mints.posts.labels(self._metrics.client(event.client), issuer, event.cause.value, outcome).inc()
        duration = self._mints.duration.labels(issuer, MINTED if outcome == MINTED else "failed")
        duration.observe(event.seconds, self.exemplar() if self.exemplar is not None else None)

    def _rejected(self, client: str, result: str) -> None:
        self._mints.rejections.labels(self._metrics.client(client), result).inc()

    def _issuer(self, client: str) -> str:
        return self._issuers.get(client, "")

    def _note_backoff(self, event: events.MintFailed) -> None:
        if event.retry_after > 0 and (event.key_hash in self._backoffs or len(self._backoffs) < REMEMBERED):
            self._backoffs[event.key_hash] = (event.client, self._clock.monotonic() + event.retry_after)

    def _set_backoffs(self) -> None:
        now, offset = self._clock.monotonic(), self._clock.unix() - self._clock.monotonic()
        self._backoffs = {key: (client, until) for key, (client, until) in self._backoffs.items() if until > now}
        ends: dict[str, list[float]] = {label: [] for label in self._metrics.clients}
        for client, until in self._backoffs.values():
            ends.setdefault(self._metrics.client(client), []).append(until)
        for label, found in ends.items():
            self._mints.backoffs_open.labels(label).set(len(found))
            self._mints.backoff_until.labels(label).set(max(found) + offset if found else 0)
