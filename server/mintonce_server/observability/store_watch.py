"""How the store answers, for the status page. Counts in the metrics, too."""

from collections import OrderedDict
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.core.status import StoreView
from mintonce_server.core.text import visible
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.store_meter import LATEST, REMEMBERED, SUBSCRIBE, PrometheusStoreMeter
from mintonce_server.observability.timings import Timings

MAX_TEXT: Final = 300


class StoreWatch(PrometheusStoreMeter):
    """Also a part of the event sink: it says in words why the store is away."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        super().__init__(metrics, clock)
        self._now = clock.monotonic
        self._timings, self._lags = Timings(), Timings()
        self._is_up: bool | None = None
        self._failing_since = 0.0
        self._detail = ""
        self._woken_at: float | None = None
        self._messages: OrderedDict[Wake, float] = OrderedDict()

    def __call__(self, event: events.Event) -> None:
        """Take note of an event."""
        if isinstance(event, events.StoreFailed):
            self._detail = visible(event.detail, MAX_TEXT)

    def operation(self, name: str, seconds: float, error: str) -> None:
        super().operation(name, seconds, error)
        now = self._now()
        if not error:
            if name != SUBSCRIBE:
                self._timings.add(now, seconds)
                self._is_up = True
        elif self._is_up is not False:
            self._is_up, self._failing_since, self._detail = False, now, ""

    def sent(self, kind: WakeKind, key_hash: str, generation: int) -> None:
        super().sent(kind, key_hash, generation)
        self._messages[Wake(kind, key_hash, generation)] = self._now()
        if len(self._messages) > REMEMBERED:
            self._messages.popitem(last=False)

    def heard(self, wake: Wake) -> None:
        super().heard(wake)
        now, sent_at = self._now(), self._messages.pop(wake, None)
        if sent_at is not None and now - sent_at <= LATEST:
            self._lags.add(now, now - sent_at)

    def woken(self, wake: Wake) -> None:
        super().woken(wake)
        self._woken_at = self._now()

    def view(self, address: str) -> StoreView:
        """For the page. `address`: without a password."""
        now, is_away = self._now(), self._is_up is False
        return StoreView(
            address=address,
            is_up=self._is_up,
            away_for=now - self._failing_since if is_away else None,
            detail=self._detail if is_away else "",
            latency=self._timings.latency(now),
            wake_ago=None if self._woken_at is None else now - self._woken_at,
            wake_lag=self._lags.latency(now),
        )
