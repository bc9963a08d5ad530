"""The composition root: builds the service from its settings, runs it, drains it, stops it."""

import asyncio
import random
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing

from mintonce_server.api.authorize import Guards
from mintonce_server.api.server import Server
from mintonce_server.app.http import http_guard, http_listening
from mintonce_server.app.options import broker_options, endpoint_options, quota_options, server_options
from mintonce_server.app.status import StatusSource, recent_of
from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.config import ClientSettings, IssuerSettings, Settings
from mintonce_server.core.broker import Broker
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import AuditUnavailable, IssuerError, MintonceError, StoreUnavailable
from mintonce_server.core.limits import Quotas
from mintonce_server.core.ports import Issuer
from mintonce_server.core.supervise import Supervisor
from mintonce_server.core.turns import Turns
from mintonce_server.issuer.endpoint import TokenEndpoint
from mintonce_server.issuer.identity import Asked, client_identity
from mintonce_server.issuer.metadata import Metadata
from mintonce_server.issuer.response import AUDIENCE_REMEDY, Grant, WrongAudience
from mintonce_server.observability.audit import AuditLog, ReloadRecord, require_audit_file
from mintonce_server.observability.audit_repeats import AuditRepeats
from mintonce_server.observability.call_meter import PrometheusCallMeter
from mintonce_server.observability.event_sinks import AudienceWarnings, sink_of
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.quiet import FaultLog, Reminder
from mintonce_server.observability.vitals import Vitals
from mintonce_server.reload.access import AccessFiles, StoreAccess
from mintonce_server.reload.files import Reloader
from mintonce_server.reload.issuer_files import client_credentials, issuer_sources
from mintonce_server.store.check import check_store
from mintonce_server.store.keyring import FIXED_KEYRING, Keyring
from mintonce_server.store.redis import RedisStore, Resealed
from mintonce_server.store.survey import StoreReport
from mintonce_server.web.status import StatusPages

_WAKE_REMEDY = (
    "Normal during a rolling update. Otherwise check which programs publish to {prefix}:wake in Redis, and that all "
    "replicas have the same index_key. Meanwhile waiting calls poll the store."
)


async def serve(settings: Settings, stopping: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Serve until `stopping` is set, then drain. `ready` gets the address once calls are answered.

    Raises OSError if the address is in use. Background tasks that fail are restarted.
    """
    clock = SystemClock()
    faults = FaultLog(clock, get_logger(__name__))
    faults.watch(asyncio.get_running_loop())
    async with AsyncExitStack() as parts:
        files = AccessFiles(settings, clock)
        audit = parts.enter_context(AuditLog(settings.audit_file, clock))
        repeats = parts.enter_context(closing(AuditRepeats(audit.write, clock, settings.audit_interval)))
        store_access = StoreAccess(settings, files, clock)
        store = await parts.enter_async_context(store_of(settings, clock, files.keyring))
        clients = await parts.enter_async_context(_clients(settings, clock, files))
        several, recent = settings.with_several_audiences, recent_of(settings, clock)
        audiences = AudienceWarnings(_unchecked(settings), several, clock, granted_of, AUDIENCE_REMEDY)
        sink = sink_of(audit, audiences, granted_of, faults, [recent])
        broker = Broker(store, clients, clock, sink, broker_options(settings), observer=recent.store)
        files.notify(on_access=broker.recheck, on_credentials=broker.credentials_changed)
        quotas, audits = Quotas(quota_options(settings), clock), repeats.write if audit.is_on else None
        guards = Guards(files.identify, files.policy, quotas, audits, files.identities, recent.denied)
        metrics = Metrics(list(settings.clients))
        meter = PrometheusCallMeter(metrics, settings.limits.max_concurrent_rpcs)
        server = Server(broker, clock, server_options(settings, files), guards, meter)
        source = StatusSource(settings, broker, recent, Vitals(metrics, clock), meter, files.values, clock)
        pages = StatusPages(source.take, http_guard(settings, files), clock, guards.audit).routes()
        http = await parts.enter_async_context(http_listening(settings, files, metrics, clock, pages))
        address = server.bind()
        reloader = _reloader(files, audit, clock, faults)
        endless = broker.endless() | files.endless | server.endless() | store_access.endless(store)
        endless |= source.endless() | {"reloading": reloader.run, "audit counts": repeats.run}
        async with Supervisor(clock, faults, random.Random()).running(endless):  # noqa: S311 - spreads restarts
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.check_now)
            try:
                await server.start()
                _announce(settings, {"listen": address, **server.further_addresses, **http})
                await _try_store(store)
                ready(address)
                await stopping.wait()
                await _drain(server, broker, settings.drain_timeout)
            finally:
                await server.stop(grace=0.0)
    get_logger(__name__).info("stopped")


def _announce(settings: Settings, addresses: Mapping[str, str]) -> None:
    names = sorted(settings.clients)
    get_logger(__name__).info("serving", **addresses, store=settings.redis.safe_url, clients=names)


async def prove_store(settings: Settings) -> StoreReport:
    """Run the service's operations in the store, for `mintonced check`. Problems are in the result, not raised."""
    try:
        keyring = AccessFiles(settings, SystemClock()).keyring()
    except MintonceError:  # reported by try_files
        keyring = FIXED_KEYRING
    return await check_store(
        settings.redis.url.reveal(), keyring.index_key, settings.redis.timeout, settings.redis.prefix
    )


async def try_files(settings: Settings) -> None:
    """Load all files that control access, and try the audit log, for `mintonced check`. Raises MintonceError."""
    clock = SystemClock()
    files = AccessFiles(settings, clock)
    StoreAccess(settings, files, clock)
    for name, issuer in settings.issuers.items():
        issuer_sources(name, issuer, files)
    for name, client in settings.clients.items():
        client_credentials(name, client, files)
    if settings.audit_file is not None:
        require_audit_file(settings.audit_file)


@asynccontextmanager
async def issuer_of(settings: Settings, client: str) -> AsyncGenerator[Issuer]:
    """The issuer of one client, for `mintonced check --mint`. Raises MintonceError if a file cannot be used."""
    clock = SystemClock()
    files = AccessFiles(settings, clock)
    registered = settings.clients[client]
    issuer = settings.issuers[registered.issuer]
    options, sources = endpoint_options(issuer, settings), issuer_sources(registered.issuer, issuer, files)
    endpoint = TokenEndpoint(options, clock, sources)
    try:
        yield endpoint.for_client(client_credentials(client, registered, files))
    finally:
        await endpoint.close()


async def probe_way(settings: Settings, name: str) -> None:
    """Ask the issuer something through its proxy, or for its metadata. Mints nothing. Raises MintonceError."""
    clock = SystemClock()
    files = AccessFiles(settings, clock)
    endpoint = _endpoint(name, settings.issuers[name], settings, clock, files)
    clients = {other: client for other, client in settings.clients.items() if client.issuer == name}
    try:
        await endpoint.probe([client_credentials(other, client, files) for other, client in clients.items()])
    finally:
        await endpoint.close()


async def reseal(settings: Settings) -> Resealed:
    """Seal all tokens in the store with the newest key, for `mintonced reseal`. Raises MintonceError."""
    clock = SystemClock()
    async with store_of(settings, clock, AccessFiles(settings, clock).keyring) as store:
        return await store.reseal()


async def _drain(server: Server, broker: Broker, grace: float) -> None:
    """Let calls and mints in progress finish; end watches with a status that makes clients reconnect elsewhere."""
    get_logger(__name__).info("draining", grace=grace)
    await server.drain()
    broker.drain()
    await server.stop(grace)
    await broker.close(grace)


async def _try_store(store: RedisStore) -> None:
    """Log if the store is unavailable at the start. The service starts all the same, as in an outage."""
    try:
        await store.ping()
    except StoreUnavailable as error:
        cause = await store.diagnose(error)
        get_logger(__name__).warning("store_unavailable", detail=str(cause), remedy=cause.remedy)


@asynccontextmanager
async def store_of(settings: Settings, clock: Clock, keyring: Callable[[], Keyring]) -> AsyncGenerator[RedisStore]:
    """The store that the settings name."""
    log = get_logger(__name__)
    identities, prefix = identities_of(settings), settings.redis.prefix
    store = RedisStore.connect(
        settings.redis.url.reveal(),
        prefix=prefix,
        clock=clock,
        keyring=keyring,
        identities=identities,
        lease_seconds=settings.lease_ttl,
        deadline=settings.redis.timeout,
        on_error=lambda error: log.warning("wakes_interrupted", detail=str(error), remedy=error.remedy),
        on_dropped=lambda count: log.warning("wake_dropped", count=count, remedy=_WAKE_REMEDY.format(prefix=prefix)),
        on_unreadable=lambda key_hash, what: log.error("record_unreadable", key_hash=key_hash, detail=what),
    )
    try:
        yield store
    finally:
        await store.close()


def identities_of(settings: Settings) -> dict[str, str]:
    """For each client: a text that identifies its account at the issuer and the kind of its requests."""
    options = {name: endpoint_options(issuer, settings) for name, issuer in settings.issuers.items()}
    return {
        name: client_identity(options[client.issuer], _asked(client, settings.issuers[client.issuer]))
        for name, client in settings.clients.items()
    }


def _asked(client: ClientSettings, issuer: IssuerSettings) -> Asked:
    return Asked(
        client_id=client.client_id,
        extra=client.extra,
        default_scopes=client.default_scopes,
        headers=issuer.headers | dict.fromkeys(issuer.header_files, "from a file"),
        has_certificate=client.certificate_file is not None,
    )


@asynccontextmanager
async def _clients(settings: Settings, clock: Clock, files: AccessFiles) -> AsyncGenerator[Clients]:
    """The registered clients, each with its issuer. One connection pool per issuer."""
    async with AsyncExitStack() as pools:
        endpoints: dict[str, TokenEndpoint] = {}
        turns = {name: Turns() for name in settings.issuers}
        for name, issuer in settings.issuers.items():
            endpoints[name] = _endpoint(name, issuer, settings, clock, files)
            pools.push_async_callback(endpoints[name].close)
        yield Clients(
            OAuthClient(
                name=name,
                issuer=endpoints[client.issuer].for_client(client_credentials(name, client, files)),
                audiences=frozenset(client.audiences),
                credential_version=client.credential_version,
                keep_warm=client.keep_warm,
                issuer_account=f"{_address(settings.issuers[client.issuer])} {client.client_id}",
                has_several_audiences=settings.issuers[client.issuer].several_audiences != "no",
                turns=turns[client.issuer],
            )
            for name, client in settings.clients.items()
        )


def _endpoint(name: str, issuer: IssuerSettings, settings: Settings, clock: Clock, files: AccessFiles) -> TokenEndpoint:
    log, reminder = get_logger(__name__), Reminder(clock)

    def read(metadata: Metadata) -> None:
        reminder.over()
        log.info("issuer_metadata", issuer=name, token_endpoint=metadata.token_url.partition("?")[0])

    def failed(error: IssuerError) -> None:
        if reminder.is_due(str(error)):
            log.warning("issuer_metadata_unavailable", issuer=name, detail=str(error), remedy=error.remedy)

    options, sources = endpoint_options(issuer, settings), issuer_sources(name, issuer, files)
    return TokenEndpoint(options, clock, sources, on_read=read, on_failure=failed)


def _address(issuer: IssuerSettings) -> str:
    return issuer.token_url or issuer.issuer or ""


def _unchecked(settings: Settings) -> list[str]:
    """Clients whose tokens may be for any audience without a warning."""
    off = {name for name, issuer in settings.issuers.items() if issuer.audience_check == "off"}
    return [name for name, client in settings.clients.items() if client.issuer in off]


def granted_of(error: MintonceError | None) -> Grant | None:
    """What the issuer granted with a token that was refused because of its audience."""
    return error.grant if isinstance(error, WrongAudience) else None


def _reloader(files: AccessFiles, audit: AuditLog, clock: Clock, faults: FaultLog) -> Reloader:
    log, reminder = get_logger(__name__), Reminder(clock)

    def note(record: ReloadRecord) -> None:
        try:
            audit.write(record)
        except AuditUnavailable as error:  # the change stays in effect; calls are refused until the log can be written
            log.error("audit_unavailable", detail=str(error), remedy=error.remedy)  # noqa: TRY400 - its detail says all

    def loaded(what: str) -> None:
        log.info("reloaded", what=what)
        note(ReloadRecord(what, "loaded"))

    def failed(what: str, error: MintonceError) -> None:
        log.error("reload_failed", what=what, detail=str(error), remedy=error.remedy)
        note(ReloadRecord(what, "refused"))

    def reopen_audit() -> None:
        try:
            audit.reopen()
        except AuditUnavailable as error:
            if reminder.is_due(str(error)):
                log.error("audit_unavailable", detail=str(error), remedy=error.remedy)  # noqa: TRY400 - its detail says all
        else:
            reminder.over()

    return Reloader(
        files.values,
        clock,
        on_loaded=loaded,
        on_error=failed,
        on_tick=reopen_audit,
        on_fault=faults,
    )
