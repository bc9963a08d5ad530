"""Counts the operations of the store and its wake messages."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.observability.metrics import Metrics

REMEMBERED: Final = 1000
"""Messages of this replica that have not come back yet."""
LATEST: Final = 10.0
"""Seconds after which a message counts as lost."""


SUBSCRIBE: Final = "subscribe"
"""Opening a subscription may send nothing yet: that it went well does not say that the store answers."""


TraceOperation = Callable[[str, float, str], None]
"""Name, seconds and the kind of the error of an operation that has ended, called in its task."""


class StoreMeter:
    """Counts nothing but the subscriptions.

    Attributes:
        subscriptions: for wake messages, alive at this moment.
        trace: called as `operation`. None: no traces.
    """

    def __init__(self) -> None:
        self.subscriptions = 0
        self.trace: TraceOperation | None = None

    def operation(self, name: str, seconds: float, error: str) -> None:
        """One operation with its repetition. `error`: "" for success, or its kind, see `store.causes.error_kind`."""

    def sent(self, kind: WakeKind, key_hash: str, generation: int) -> None:
        """A change is sent to the store, which sends a wake message."""

    def heard(self, wake: Wake) -> None:
        """A wake message came, by one of the subscriptions."""

    def woken(self, wake: Wake) -> None:
        """A wake message is acted upon: once, however many subscriptions brought it."""

    def unreadable(self, why: str) -> None:
        """A record cannot be read: key or form."""


class PrometheusStoreMeter(StoreMeter):
    """Counts in `metrics`."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        super().__init__()
        self._metrics = metrics.store
        self._clock = clock
        self._sent: OrderedDict[Wake, float] = OrderedDict()
        self._away_since: float | None = None
        for kind in WakeKind:
            self._metrics.wakes.labels(kind.value)
        for why in ("form", "key"):
            self._metrics.unreadable.labels(why)
        self._metrics.wake_subscriptions.set_function(lambda: self.subscriptions)
        metrics.before_scrape.append(self._count_outage)

    def operation(self, name: str, seconds: float, error: str) -> None:
        if self.trace is not None:
            self.trace(name, seconds, error)
        self._metrics.duration.labels("redis", name, error).observe(seconds)
        self._count_outage()
        if error:
            self._away_since = self._clock.monotonic()
            self._metrics.up.set(0)
        elif name != SUBSCRIBE:
            self._away_since = None
            self._metrics.last_success.set(self._clock.unix())
            self._metrics.up.set(1)

    def sent(self, kind: WakeKind, key_hash: str, generation: int) -> None:
        self._sent[Wake(kind, key_hash, generation)] = self._clock.monotonic()
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    def heard(self, wake: Wake) -> None:
        sent_at = self._sent.pop(wake, None)
        if sent_at is not None and (took := self._clock.monotonic() - sent_at) <= LATEST:
            self._metrics.wake_round_trip.observe(took)

    def woken(self, wake: Wake) -> None:
        self._metrics.wakes.labels(wake.kind.value).inc()

    def unreadable(self, why: str) -> None:
        self._metrics.unreadable.labels(why).inc()

    def _count_outage(self) -> None:
        """Add the time since the last look."""
        if self._away_since is not None:
            now = self._clock.monotonic()
            self._metrics.outage.inc(now - self._away_since)
            self._away_since = now
