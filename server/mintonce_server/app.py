"""The composition root: builds the service from its settings, runs it, drains it, stops it. Knows every part."""

import asyncio
import random
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing

from mintonce_server.api.authorize import Guards
from mintonce_server.api.options import ServerOptions
from mintonce_server.api.server import Server
from mintonce_server.config import IssuerSettings, Settings
from mintonce_server.core.broker import Broker, BrokerOptions
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import AuditUnavailable, MintonceError, StoreUnavailable
from mintonce_server.core.limits import QuotaOptions, Quotas
from mintonce_server.core.ports import Clock
from mintonce_server.core.supervise import Supervisor
from mintonce_server.core.turns import Turns
from mintonce_server.issuer.auth import client_identity
from mintonce_server.issuer.endpoint import TokenEndpoint
from mintonce_server.issuer.options import EndpointOptions
from mintonce_server.observability.audit import AuditLog, ReloadRecord
from mintonce_server.observability.audit_repeats import AuditRepeats
from mintonce_server.observability.clock import SystemClock
from mintonce_server.observability.faults import FaultLog
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import Reminder
from mintonce_server.reload.credentials import authorities_of, credentials_of
from mintonce_server.reload.guarding import Guarding
from mintonce_server.reload.reloading import Reloader
from mintonce_server.reload.store_files import StoreFiles
from mintonce_server.sinks import sink_of
from mintonce_server.store.check import check_store
from mintonce_server.store.keyring import FIXED_KEYRING, Keyring
from mintonce_server.store.redis import RedisStore, Resealed
from mintonce_server.store.survey import StoreReport

_WAKE_REMEDY = (
    "Normal for a while during a rolling update. Otherwise see who publishes to {prefix}:wake in Redis, and that all "
    "replicas have the same index_key. Until then waiters ask the store themselves."
)


async def serve(settings: Settings, stopping: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Serve until `stopping` is set, then drain. `ready` is told the address once calls are answered.

    Raises OSError when the address is taken. Background tasks that fail are started again.
    """
    clock = SystemClock()
    faults = FaultLog(clock, get_logger(__name__))
    faults.watch(asyncio.get_running_loop())
    async with AsyncExitStack() as parts:
        # The broker is built below.
        guarding = Guarding(settings, clock, lambda: broker.recheck(), lambda: broker.credentials_changed())  # noqa: PLW0108
        audit = parts.enter_context(AuditLog(settings.audit_file, clock))
        repeats = parts.enter_context(closing(AuditRepeats(audit.write, clock, settings.audit_interval)))
        store_files = StoreFiles(settings, guarding, clock)
        store = await parts.enter_async_context(store_of(settings, clock, guarding.keyring))
        clients = await parts.enter_async_context(_clients(settings, clock, guarding))
        sink = sink_of(audit, _unchecked(settings), clock, faults)
        broker = Broker(store, clients, clock, sink, _broker_options(settings))
        guards = Guards(
            guarding.identify,
            guarding.policy,
            Quotas(_quota_options(settings), clock),
            repeats.write if audit.is_on else None,
            guarding.identities,
        )
        server = Server(broker, clock, _server_options(settings, guarding), guards)
        address = server.bind()
        reloader = _reloader(settings, guarding, audit, clock, faults)
        endless = broker.endless() | guarding.endless | server.endless() | store_files.endless(store)
        endless |= {"reloading": reloader.run, "audit counts": repeats.run}
        async with Supervisor(clock, faults, random.Random()).running(endless):  # noqa: S311 - spreads restarts
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.poke)
            try:
                await server.start()
                names = sorted(settings.clients)
                where = {"listen": address, **server.further_addresses}
                get_logger(__name__).info("serving", **where, store=settings.redis.safe_url, clients=names)
                await _try_store(store)
                ready(address)
                await stopping.wait()
                await _drain(server, broker, settings.drain_seconds)
            finally:
                await server.stop(grace=0.0)
    get_logger(__name__).info("stopped")


async def prove_store(settings: Settings) -> StoreReport:
    """Do in the store what the service will do, for `mintonced check`. Raises nothing but what is a fault of ours."""
    try:
        keyring = Guarding(settings, SystemClock(), lambda: None).keyring()
    except MintonceError:  # told by try_files
        keyring = FIXED_KEYRING
    return await check_store(
        settings.redis.url.reveal(), keyring.index_key, settings.redis.deadline, settings.redis.prefix
    )


async def try_files(settings: Settings) -> None:
    """Read all that guards and proves, for `mintonced check`. Raises MintonceError."""
    clock = SystemClock()
    guarding = Guarding(settings, clock, lambda: None)
    StoreFiles(settings, guarding, clock)
    for name, issuer in settings.issuers.items():
        authorities_of(name, issuer, guarding)
    for name, client in settings.clients.items():
        credentials_of(name, client, guarding)


async def reseal(settings: Settings) -> Resealed:
    """Seal every token in the store with the newest key, for `mintonced reseal`. Raises MintonceError."""
    clock = SystemClock()
    guarding = Guarding(settings, clock, lambda: None)
    async with store_of(settings, clock, guarding.keyring) as store:
        return await store.reseal()


async def _drain(server: Server, broker: Broker, grace: float) -> None:
    """Calls under way finish, watches end with a status that makes clients reconnect elsewhere, mints land."""
    get_logger(__name__).info("draining", grace=grace)
    await server.drain()
    broker.drain()
    await server.stop(grace)
    await broker.close(grace)


async def _try_store(store: RedisStore) -> None:
    """Say at the start when the store is out of reach; the service goes on, as it would in an outage later."""
    try:
        await store.ping()
    except StoreUnavailable as error:
        told = await store.diagnose(error)
        get_logger(__name__).warning("store_unavailable", detail=str(told), remedy=told.remedy)


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
        lease_seconds=settings.lease_seconds,
        deadline=settings.redis.deadline,
        on_error=lambda error: log.warning("wakes_interrupted", detail=str(error), remedy=error.remedy),
        on_dropped=lambda count: log.warning("wake_dropped", count=count, remedy=_WAKE_REMEDY.format(prefix=prefix)),
        on_unreadable=lambda key_hash, what: log.error("record_unreadable", key_hash=key_hash, detail=what),
    )
    try:
        yield store
    finally:
        await store.close()


def identities_of(settings: Settings) -> dict[str, str]:
    """By the name of each client: whom its issuer takes it for, and how it is asked."""
    options = {name: _endpoint_options(issuer, settings) for name, issuer in settings.issuers.items()}
    return {
        name: client_identity(options[client.issuer], client.client_id, client.extra)
        for name, client in settings.clients.items()
    }


@asynccontextmanager
async def _clients(settings: Settings, clock: Clock, guarding: Guarding) -> AsyncGenerator[Clients]:
    """The registered clients, each with its issuer; one pool of connections an issuer."""
    async with AsyncExitStack() as pools:
        endpoints: dict[str, TokenEndpoint] = {}
        turns = {name: Turns() for name in settings.issuers}
        for name, issuer in settings.issuers.items():
            authorities = authorities_of(name, issuer, guarding)
            endpoints[name] = TokenEndpoint(_endpoint_options(issuer, settings), clock, authorities)
            pools.push_async_callback(endpoints[name].close)
        yield Clients(
            OAuthClient(
                name=name,
                issuer=endpoints[client.issuer].for_client(credentials_of(name, client, guarding)),
                audiences=frozenset(client.audiences),
                credential_version=client.credential_version,
                keep_warm=client.keep_warm,
                issuer_account=f"{settings.issuers[client.issuer].token_url} {client.client_id}",
                turns=turns[client.issuer],
            )
            for name, client in settings.clients.items()
        )


def _unchecked(settings: Settings) -> list[str]:
    """Clients whose tokens may be for any audience without a word."""
    off = {name for name, issuer in settings.issuers.items() if issuer.audience_check == "off"}
    return [name for name, client in settings.clients.items() if client.issuer in off]


def _reloader(settings: Settings, guarding: Guarding, audit: AuditLog, clock: Clock, faults: FaultLog) -> Reloader:
    log, reminder = get_logger(__name__), Reminder(clock)

    def note(record: ReloadRecord) -> None:
        try:
            audit.write(record)
        except AuditUnavailable as error:  # what has changed has changed; calls are refused until there is room
            log.error("audit_unavailable", detail=str(error), remedy=error.remedy)  # noqa: TRY400 - its detail says all

    def loaded(what: str) -> None:
        log.info("reloaded", what=what)
        note(ReloadRecord(what, "loaded"))

    def trouble(what: str, error: MintonceError) -> None:
        log.error("reload_failed", what=what, detail=str(error), remedy=error.remedy)
        note(ReloadRecord(what, "refused"))

    def look_at_audit() -> None:
        try:
            audit.reopen()
        except AuditUnavailable as error:
            if reminder.is_due(str(error)):
                log.error("audit_unavailable", detail=str(error), remedy=error.remedy)  # noqa: TRY400 - its detail says all
        else:
            reminder.over()

    return Reloader(
        guarding.watched,
        clock,
        interval=settings.reload_interval,
        loaded=loaded,
        trouble=trouble,
        besides=look_at_audit,
        faults=faults,
    )


def _endpoint_options(issuer: IssuerSettings, settings: Settings) -> EndpointOptions:
    return EndpointOptions(
        token_url=issuer.token_url,
        request=issuer.request,
        auth=issuer.auth,
        audience_parameter=issuer.audience_parameter,
        timeout=min(issuer.timeout, settings.mint_deadline),
        http2=issuer.http2,
        default_lifetime=issuer.default_lifetime,
        ca_file=str(issuer.ca_file) if issuer.ca_file else None,
        proxy=None,
        allow_http=settings.insecure_issuer,
        assertion_audience=issuer.assertion_audience,
        allow_bound_tokens=issuer.allow_bound_tokens,
        audience_check=issuer.audience_check,
    )


def _broker_options(settings: Settings) -> BrokerOptions:
    return BrokerOptions(
        mint_deadline=settings.mint_deadline,
        min_rotation_interval=settings.min_rotation_interval,
        revalidate_within=settings.revalidate_seconds,
        mint_in_outage=settings.store_outage == "mint",
        max_keys_per_client=settings.max_keys_per_client,
    )


def _server_options(settings: Settings, guarding: Guarding) -> ServerOptions:
    return ServerOptions(
        listen=settings.listen,
        bearer_listen=settings.bearer_listen,
        health_listen=settings.health_listen,
        socket_mode=int(settings.socket_mode, 8),
        tls=guarding.tls,
        reflection=settings.reflection,
        so_reuseport=settings.so_reuseport,
        max_message_bytes=settings.max_message_bytes,
        max_metadata_bytes=settings.max_metadata_bytes,
        max_concurrent_rpcs=settings.max_concurrent_rpcs,
        max_streams_per_connection=settings.max_streams_per_connection,
        message_timeout=settings.message_timeout,
        max_connection_age=settings.max_connection_age,
    )


def _quota_options(settings: Settings) -> QuotaOptions:
    return QuotaOptions(
        mints_per_second=settings.mints_per_second,
        mint_burst=settings.mint_burst,
        rejects_per_second=settings.rejects_per_second,
        reject_burst=settings.reject_burst,
        max_watches_per_caller=settings.max_watches_per_caller,
        max_calls_per_caller=settings.max_calls_per_caller,
        anonymous_callers=settings.anonymous_callers,
    )
