"""Counts calls and the tokens that they hand out. On the hot path: two microseconds a call are too many."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Counter

from mintonce_server.core.tracing import CallTracer
from mintonce_server.observability.call_times import Times
from mintonce_server.observability.metrics import Metrics

SERVER_ERRORS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Codes that are the server's fault, by OpenTelemetry's conventions for gRPC."""
Ended = Callable[[str, float], None]
"""A call has ended, with the name of its code, after so many seconds."""

Answered = Callable[[int, float], None]
"""A request was answered with this HTTP status, after so many seconds."""


class CallMeter:
    """Counts nothing but the calls in progress: used where nothing reads the counts.

    Attributes:
        unary: unary calls in progress.
        watches: streaming calls in progress.
        http: requests to the token endpoint in progress.
        tracer: traces calls. None: no traces.
    """

    def __init__(self) -> None:
        self.unary = self.watches = self.http = 0
        self.tracer: CallTracer | None = None

    def method(self, name: str) -> Ended:
        """Counts the calls of one method, named as in `mintonce.v1.TokenService/GetToken`."""
        return _ignore

    def route(self, method: str, route: str) -> Answered:
        """Counts the HTTP requests of one route that ask for tokens."""
        return _ignore_answer

    def failed(self, method: str, reason: str, client: str) -> None:
        """A call failed. `client`: of its key, "" if it named none."""

    def served(self, client: str, origin: str, degraded: bool) -> None:
        """A token was handed out."""

    def watch_ended(self, reason: str) -> None:
        """A watch ended: hung_up, draining, denied, expired or error."""

    def denied(self, why: str, act: str, identity: str) -> None:
        """A call was denied: unauthenticated, policy or audience."""

    def limited(self, quota: str) -> None:
        """A call was beyond a limit."""


class PrometheusCallMeter(CallMeter):
    """Counts in `metrics`, with every series that is known at the start bound at the start."""

    def __init__(self, metrics: Metrics, max_concurrent_rpcs: int) -> None:
        super().__init__()
        self._metrics, self._calls = metrics, metrics.calls
        self._served: dict[tuple[str, str, bool], int] = {}
        """Since the last scrape: adding here costs a fifth of a counter's `inc`."""
        for client in metrics.clients:
            for origin in ("memory", "store", "mint"):
                self._tokens(client, origin, degraded=False)
        for quota in ("calls", "keys", "mints", "rejects", "watches"):
            metrics.calls.quota_refusals.labels(quota)
        metrics.calls.limit.set(max_concurrent_rpcs)
        metrics.before_scrape.append(self.publish)
        metrics.calls.in_flight.labels("unary").set_function(lambda: self.unary)
        metrics.calls.in_flight.labels("watch").set_function(lambda: self.watches)
        metrics.calls.in_flight.labels("http").set_function(lambda: self.http)

    def method(self, name: str) -> Ended:
        duration = self._calls.duration
        codes: dict[str, Times] = {}

        def ended(code: str, seconds: float) -> None:
            child = codes.get(code)
            if child is None:
                child = codes[code] = duration.labels("grpc", name, code, code if code in SERVER_ERRORS else "")
            child.observe(seconds)

        return ended

    def route(self, method: str, route: str) -> Answered:
        duration = self._calls.http_duration
        statuses: dict[int, Times] = {}

        def answered(status: int, seconds: float) -> None:
            child = statuses.get(status)
            if child is None:
                error = str(status) if status >= 500 else ""
                child = statuses[status] = duration.labels(method, route, str(status), error)
            child.observe(seconds)

        return answered

    def failed(self, method: str, reason: str, client: str) -> None:
        self._calls.failed.labels(method, reason, self._metrics.client(client)).inc()

    def served(self, client: str, origin: str, degraded: bool) -> None:
        key = (client, origin, degraded)
        self._served[key] = self._served.get(key, 0) + 1

    def watch_ended(self, reason: str) -> None:
        self._calls.watch_ends.labels(reason).inc()

    def denied(self, why: str, act: str, identity: str) -> None:
        self._calls.denials.labels(why, act, identity).inc()

    def limited(self, quota: str) -> None:
        self._calls.quota_refusals.labels(quota).inc()

    def publish(self) -> None:
        """Add what was served since the last time to the counters."""
        for (client, origin, degraded), count in self._served.items():
            self._tokens(client, origin, degraded=degraded).inc(count)
        self._served.clear()

    def _tokens(self, client: str, origin: str, *, degraded: bool) -> Counter:
        return self._calls.served.labels(self._metrics.client(client), origin, str(degraded).lower())


def _ignore_answer(_: int, __: float) -> None:
    """Default: ignore."""


def _ignore(_: str, __: float) -> None:
    """Default: ignore."""
