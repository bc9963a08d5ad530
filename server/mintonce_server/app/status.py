"""Where the status page's values come from: the broker, what happened lately, and the files."""

import socket
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from mintonce_server.api.tls import TlsMaterial
from mintonce_server.app.fleet import FleetWatch, budget_rows
from mintonce_server.app.status_line import Say, StatusLine
from mintonce_server.app.telemetry import Telemetry
from mintonce_server.common.clock import Clock
from mintonce_server.config import Settings
from mintonce_server.core.broker import Broker
from mintonce_server.core.key_survey import ClientKeys, MaySee
from mintonce_server.core.status import (
    ClientRow,
    FileRow,
    IssuerRow,
    KeyFilter,
    ReplicaView,
    StatusSnapshot,
    TokenEndpointView,
)
from mintonce_server.core.supervise import Start
from mintonce_server.core.usage import UsageCounter
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.observability.audit import CallRecord
from mintonce_server.observability.vitals import Vitals, memory_bytes
from mintonce_server.reload.access import AccessFiles
from mintonce_server.reload.files import FileValue
from mintonce_server.store.redis import RedisStore


class StatusSource:
    """Takes snapshots. Costs nothing until it is asked."""

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        telemetry: Telemetry,
        usage: UsageCounter,
        store: RedisStore,
        files: AccessFiles,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._recent = telemetry.recent
        self._store = telemetry.store
        self._meter = telemetry.calls
        self._metrics = telemetry.metrics
        self._vitals = Vitals(telemetry.metrics, clock)
        self._usage = usage
        self._fleet = FleetWatch(usage.replicas, usage.replica.id)
        self._files = files
        self._clock = clock
        self._name = socket.gethostname()
        self._version = version("mintonce")

    def endless(self, address: str, say: Say | None) -> dict[str, Start]:
        """Tasks to run, by name. `say`: gets a line for people each time the store goes away or comes back."""
        tasks: dict[str, Start] = {}
        if self._settings.http.listen:
            tasks |= {"vitals": self._vitals.run, "fleet": self._fleet.run}
        if say is not None:
            line = StatusLine(lambda: self._store.view(self._settings.redis.safe_url), address, say, self._clock)
            tasks["status line"] = line.run
        return tasks

    @asynccontextmanager
    async def listening(self, audit: Callable[[CallRecord], None] | None) -> AsyncGenerator[dict[str, str]]:
        """Serve page and metrics, if `http.listen` is set; see `http_listening`. `audit`: writes a record."""
        if (listen := self._settings.http.listen) is None:
            yield {}
            return
        # Only here: a server without this port, and every other command, need not load aiohttp.
        from mintonce_server.app.http import http_guard, http_listening
        from mintonce_server.web.status import StatusPages

        pages = StatusPages(self.take, http_guard(listen, self._settings, self._files), self._clock, audit).routes()
        listening = http_listening(listen, self._settings, self._files, self._metrics, self._clock, pages)
        async with listening as addresses:
            yield addresses

    async def take(self, wanted: KeyFilter, may_see: MaySee) -> StatusSnapshot:
        """As things stand now. The findings are left to the reader of it."""
        survey = await self._broker.survey(self._recent.failures, wanted, may_see)
        return StatusSnapshot(
            as_of=self._clock.unix(),
            replica=self._replica(),
            store=self._store.view(self._settings.redis.safe_url),
            issuers=tuple(self._issuers()),
            clients=tuple(self._clients(survey.clients)),
            mints=self._recent.mints(),
            keys=survey.keys,
            fleet=self._fleet.rows(),
            budget=tuple(budget_rows(self._usage.snapshot())),
            callers=self._recent.denied_callers(),
            events=self._recent.last_events(),
            files=tuple(self._file(value) for value in self._files.values),
        )

    def _replica(self) -> ReplicaView:
        rates = self._vitals.rates()
        return ReplicaView(
            name=self._name,
            version=self._version,
            up_for=self._clock.monotonic() - self._vitals.started_at,
            is_draining=self._broker.is_draining,
            calls_per_second=rates.calls,
            errors_per_second=rates.failed,
            in_flight=self._meter.unary + self._meter.watches + self._meter.http,
            in_flight_limit=self._settings.limits.max_concurrent_rpcs,
            watches=self._meter.watches,
            loop_lag=self._vitals.loop_lag(),
            memory_bytes=memory_bytes(),
            token_endpoint=TokenEndpointView(
                listen=self._settings.token_endpoint.listen or "",
                requests_per_second=rates.requests,
                errors_per_second=rates.requests_failed,
                in_flight=self._meter.http,
            ),
        )

    def _issuers(self) -> Iterable[IssuerRow]:
        now = self._clock.monotonic()
        for name, standing in sorted(self._recent.issuers.items()):
            yield IssuerRow(
                name=name,
                succeeded_ago=standing.succeeded_ago(now),
                failed=standing.last_failure(now),
                latency=standing.timings.latency(now),
                posts=standing.posts,
                failures=standing.failures,
            )

    def _clients(self, keys: Mapping[str, ClientKeys]) -> Iterable[ClientRow]:
        self._meter.publish()
        now, served = self._clock.monotonic(), self._vitals.served()
        for name, standing in sorted(self._recent.clients.items()):
            held = keys.get(name, ClientKeys())
            yield ClientRow(
                name=name,
                issuer=self._settings.clients[name].issuer,
                keys=held.keys,
                live=held.live,
                watchers=held.watchers,
                soonest_end_in=held.soonest_end_in,
                posts=standing.posts,
                served=served.get(name),
                succeeded_ago=standing.succeeded_ago(now),
                failed=standing.last_failure(now),
                latency=standing.timings.latency(now),
                failures=standing.failures,
            )

    def _file(self, value: FileValue[object]) -> FileRow:
        now, refused = self._clock.monotonic(), value.refused
        loaded_at = self._vitals.started_at if value.loaded_at is None else value.loaded_at
        end = _end_of(value())
        return FileRow(
            name=value.name,
            loaded_ago=now - loaded_at,
            refused=str(refused) if refused else "",
            remedy=refused.remedy if refused else "",
            ends_in=None if end is None else end - self._clock.unix(),
        )


def _end_of(value: object) -> float | None:
    """When a certificate ends, seconds since 1970."""
    return value.not_after if isinstance(value, (TlsMaterial, ClientCertificate)) else None
