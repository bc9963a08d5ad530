"""How the process does: calls a second, tokens handed out, the lag of the event loop, memory."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import Counter

from mintonce_server.common.clock import Clock
from mintonce_server.observability.call_times import CallTimes
from mintonce_server.observability.metrics import Metrics

EVERY: Final = 1.0
"""Seconds between two looks."""
SAMPLES: Final = 61
"""A minute of them."""

_MEMORY: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Rates:
    """A second; None: not known yet. `failed`: by a fault of the server's. The requests are among the calls.

    Attributes:
        calls, failed: all calls.
        requests, requests_failed: those to the token endpoint.
    """

    calls: float | None = None
    failed: float | None = None
    requests: float | None = None
    requests_failed: float | None = None


class Vitals:
    """The owner runs `run`. Reads the counts that the metrics keep anyway."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self.started_at = clock.monotonic()
        self._samples: deque[tuple[float, float, float, float, float]] = deque(maxlen=SAMPLES)
        self._lags: deque[float] = deque(maxlen=SAMPLES)

    async def run(self) -> None:
        """Endless."""
        while True:
            due = self._clock.monotonic() + EVERY
            await asyncio.sleep(EVERY)
            self._lags.append(max(0.0, self._clock.monotonic() - due))
            self.look()

    def look(self) -> None:
        """Take note of the counts of this moment."""
        calls = self._metrics.calls
        self._samples.append((self._clock.monotonic(), *_ended(calls.duration), *_ended(calls.http_duration)))

    def rates(self) -> Rates:
        """In the last minute."""
        if len(self._samples) < 2:
            return Rates()
        began, ended = self._samples[0], self._samples[-1]
        seconds = max(ended[0] - began[0], 0.001)
        calls, failed, requests, requests_failed = (
            (now - then) / seconds for then, now in zip(began[1:], ended[1:], strict=True)
        )
        return Rates(calls + requests, failed + requests_failed, requests, requests_failed)

    def loop_lag(self) -> float | None:
        """The greatest lateness of a timer in the last minute, in seconds."""
        return max(self._lags, default=None)

    def served(self) -> dict[str, int]:
        """Tokens handed out since the start, by client."""
        found: dict[str, int] = {}
        for labels, count in _totals(self._metrics.calls.served):
            found[labels["client"]] = found.get(labels["client"], 0) + int(count)
        return found


def memory_bytes(read: Callable[[], str] = lambda: _MEMORY.read_text("ascii")) -> int | None:
    """Resident memory of this process. None where the system does not say."""
    try:
        return int(read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _ended(histogram: CallTimes) -> tuple[float, float]:
    """How many have ended, and how many of them failed by a fault of the server's."""
    ended = failed = 0.0
    for labels, count in _samples(histogram, "_count"):
        ended += count
        failed += count if labels.get("error_type") else 0.0
    return ended, failed


def _totals(counter: Counter) -> Iterator[tuple[dict[str, str], float]]:
    return _samples(counter, "_total")


def _samples(metric: Counter | CallTimes, suffix: str) -> Iterator[tuple[dict[str, str], float]]:
    for family in metric.collect():
        for sample in family.samples:
            if sample.name.endswith(suffix):
                yield sample.labels, sample.value
