"""Gauges that are read from the service: from time to time where that is a long look, else at each scrape."""

import asyncio
from collections.abc import Callable
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.tally import ClientTally, Tally
from mintonce_server.observability.metrics import Metrics

TALLY_INTERVAL: Final = 5.0
LAG_INTERVAL: Final = 0.1


class TallyGauges:
    """What the replica holds. `run` is endless."""

    def __init__(self, metrics: Metrics, look: Callable[[], Tally], clock: Clock) -> None:
        self._metrics, self._tokens, self._mints = metrics, metrics.tokens, metrics.mints
        self._look = look
        self._clock = clock

    async def run(self) -> None:
        """For ever."""
        while True:
            self.set(self._look())
            await asyncio.sleep(TALLY_INTERVAL)

    def set(self, tally: Tally) -> None:
        """Publish these numbers."""
        offset = self._clock.unix() - self._clock.monotonic()
        together: dict[str, list[ClientTally]] = {label: [] for label in self._metrics.clients}
        for name, of_client in tally.clients.items():
            together[self._metrics.client(name)].append(of_client)
        for label, parts in together.items():
            self._tokens.held.labels(label).set(sum(part.held for part in parts))
            self._tokens.live.labels(label).set(sum(part.live for part in parts))
            self._tokens.overdue.labels(label).set(sum(part.overdue for part in parts))
            self._tokens.watchers.labels(label).set(sum(part.watchers for part in parts))
            for wanted in (True, False):
                ends = min((part.ends[wanted] for part in parts), default=float("inf"))
                self._tokens.earliest_expiry.labels(label, str(wanted).lower()).set(ends + offset)
        self._tokens.revalidation_age.set(tally.oldest)
        self._tokens.refreshes_due.set(tally.overdue)
        self._tokens.refreshes_running.set(tally.refreshing)
        self._mints.flights.set(tally.flights)
        self._mints.waiters.set(tally.waiters)


class LoopLag:
    """How late timers of the event loop are. `run` is endless."""

    def __init__(self, metrics: Metrics) -> None:
        self._gauge = metrics.process.loop_lag
        self._worst = 0.0
        metrics.before_scrape.append(self._publish)

    async def run(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self._worst = max(self._worst, loop.time() - due)

    def _publish(self) -> None:
        self._gauge.set(self._worst)
        self._worst = 0.0
