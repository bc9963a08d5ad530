"""What operators see of a service: its metrics and traces, from every part that counts something."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING, Final

from mintonce_server.common.clock import Clock
from mintonce_server.config import Settings
from mintonce_server.core.broker import Broker
from mintonce_server.core.events import EventSink
from mintonce_server.core.supervise import Start
from mintonce_server.core.tracing import RequestTracer
from mintonce_server.core.usage import UsageCounter
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.observability.call_meter import PrometheusCallMeter
from mintonce_server.observability.event_meter import EventMeter
from mintonce_server.observability.gauges import LoopLag, TallyGauges
from mintonce_server.observability.http_meter import HttpMeter
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.recent import Recent
from mintonce_server.observability.store_watch import StoreWatch
from mintonce_server.observability.usage_gauges import UsageGauges
from mintonce_server.reload.access import AccessFiles
from mintonce_server.reload.files import Reloader

if TYPE_CHECKING:
    from mintonce_server.observability.traces import Traces

_OF_CLIENT: Final = "certificate of "


class Telemetry:
    """The metrics and traces of one service, and what counts for each of its parts."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.metrics = metrics = Metrics(list(settings.clients))
        self.calls = PrometheusCallMeter(metrics, settings.limits.max_concurrent_rpcs)
        self.store = StoreWatch(metrics, clock)
        issuers = {name: client.issuer for name, client in settings.clients.items()}
        self.recent = Recent(clock, issuers)
        self.events = EventMeter(metrics, issuers, clock)
        self.requests = HttpMeter(metrics)
        self._traces: Traces | None = None
        metrics.tokens.revalidate_interval.set(settings.revalidate_interval)
        versions = (version("mintonce"), python_version(), version("grpcio"))
        metrics.process.build_info.labels(*versions).set(1)

    def trace(self, traces: "Traces | None") -> None:
        """Make spans, too, of what is counted. To be called before the parts are built. None: no spans."""
        self._traces = traces
        if traces is not None:
            self.calls.tracer = traces
            self.store.trace = traces.operation
            self.events.exemplar = traces.exemplar

    @property
    def sinks(self) -> Sequence[EventSink]:
        """For the broker's events."""
        usual: tuple[EventSink, ...] = (self.events, self.recent, self.store)
        return usual if self._traces is None else (*usual, self._traces)

    def request_tracer(self, issuer: str) -> RequestTracer | None:
        """For requests to the issuer of this name."""
        if self._traces is None:
            return None
        return self._traces.requests(issuer, propagate=self._settings.issuers[issuer].propagate_trace)

    def audit(self, kind: str, seconds: float, written: bool) -> None:
        """One record of the audit log."""
        process = self.metrics.process
        process.audit_write.observe(seconds)
        if written:
            process.audit_records.labels(kind).inc()
        else:
            process.audit_failures.inc()

    def reloaded(self, what: str, outcome: str) -> None:
        """A file has changed: loaded or refused."""
        self.metrics.process.reloads.labels(what, outcome).inc()
        if outcome == "loaded":
            self.metrics.process.reload_time.labels(what).set(self._clock.unix())

    def follow(
        self, broker: Broker, files: AccessFiles, reloader: Reloader, usage: UsageCounter
    ) -> Mapping[str, Start]:
        """Read gauges from these parts. The endless tasks that it takes, by name; none without `http.listen`."""
        self.metrics.before_scrape.append(lambda: self._read(broker, files, reloader))
        if self._settings.http.listen is None:
            return {}
        UsageGauges(self.metrics, usage.snapshot)
        tally = TallyGauges(self.metrics, broker.tally, self._clock)
        return {"tally": tally.run, "loop lag": LoopLag(self.metrics).run}

    def _read(self, broker: Broker, files: AccessFiles, reloader: Reloader) -> None:
        process = self.metrics.process
        process.draining.set(broker.is_draining)
        for name, is_refused in reloader.refused().items():
            process.reload_ok.labels(name).set(not is_refused)
        for what, ends in certificates(files).items():
            process.certificate_expiry.labels(what).set(ends)
        if self._settings.sealing_keys_file is not None:
            process.sealing_key.set(files.keyring().sealing(self._clock.unix()).seal_from)


def certificates(files: AccessFiles) -> Mapping[str, float]:
    """When each certificate ends, in seconds since 1970: the server's, and those of clients as `client:NAME`."""
    ends = {"server": files.tls().not_after} if files.tls is not None else {}
    for value in files.values:
        if isinstance(found := value(), ClientCertificate):
            ends[f"client:{value.name.removeprefix(_OF_CLIENT)}"] = found.not_after
    return ends
