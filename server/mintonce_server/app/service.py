"""The composition root: builds the service from its settings, runs it, drains it, stops it."""

import asyncio
import random
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, closing

from mintonce_server.api.server import Server
from mintonce_server.app.issuers import clients_of
from mintonce_server.app.options import broker_options, quota_options, server_options
from mintonce_server.app.reloading import reloader_of
from mintonce_server.app.status import StatusSource
from mintonce_server.app.status_line import Say
from mintonce_server.app.store import store_of
from mintonce_server.app.telemetry import Telemetry
from mintonce_server.app.token_endpoint import TokenEndpoint
from mintonce_server.app.tracing import export_options, tracing
from mintonce_server.app.usage import usage_of
from mintonce_server.calls.authorize import Authorizer, Guards
from mintonce_server.calls.tokens import TokenCalls
from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.config import Settings
from mintonce_server.core.broker import Broker
from mintonce_server.core.errors import MintonceError, StoreUnavailable
from mintonce_server.core.limits import Quotas
from mintonce_server.core.supervise import Supervisor
from mintonce_server.core.usage import UsageCounter
from mintonce_server.issuer.response import AUDIENCE_REMEDY, Grant, WrongAudience
from mintonce_server.observability.audit import AuditLog, CallRecord, require_audit_file
from mintonce_server.observability.audit_repeats import AuditRepeats
from mintonce_server.observability.event_sinks import AudienceWarnings, fan_out, sink_of
from mintonce_server.observability.journal import guarded
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import FaultLog
from mintonce_server.reload.access import AccessFiles, StoreAccess
from mintonce_server.reload.issuer_files import client_credentials, issuer_sources
from mintonce_server.store.check import check_store
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.redis import RedisStore, Resealed
from mintonce_server.store.survey import StoreReport


async def serve(settings: Settings, stopping: asyncio.Event, ready: Say, say: Say | None = None) -> None:
    """Serve until `stopping` is set, then drain. `ready` gets the address once calls are answered; `say` a line for
    people each time the store goes away or comes back.

    Raises OSError if the address is in use. Background tasks that fail are restarted.
    """
    clock = SystemClock()
    faults = FaultLog(clock, get_logger(__name__)).watch(asyncio.get_running_loop())
    async with AsyncExitStack() as parts:
        telemetry = Telemetry(settings, clock)
        files = AccessFiles(settings, clock, on_request=telemetry.requests)
        telemetry.trace(traces := await parts.enter_async_context(tracing(settings, files, clock)))
        audit = parts.enter_context(AuditLog(settings.audit_file, clock, telemetry.audit))
        repeats = parts.enter_context(closing(AuditRepeats(audit.write, clock, settings.audit_interval)))
        store_access = StoreAccess(settings, files, clock)
        store = await parts.enter_async_context(store_of(settings, clock, files.keyring, telemetry.store))
        clients = await parts.enter_async_context(clients_of(settings, clock, files, telemetry))
        said = sink_of(audit, _audience_warnings(settings, clock), granted_of, faults, *telemetry.sinks)
        usage = usage_of(settings, store, clock, said)
        sink, options = fan_out(said, guarded(usage.observe, faults)), broker_options(settings)
        broker = Broker(store, clients, clock, sink, options, waste_refused=usage.refused_for, tracer=traces)
        files.notify(on_access=broker.recheck, on_credentials=broker.credentials_changed)
        record = repeats.write if audit.is_on else None
        calls = TokenCalls(broker, _authorizer(settings, files, broker, telemetry, record, clock), usage)
        server = Server(broker, calls, clock, server_options(settings, files), telemetry.calls, usage)
        usage.listens_at(address := server.bind())
        reloader = reloader_of(files, audit, clock, faults, telemetry.reloaded)
        source = StatusSource(settings, broker, telemetry, usage, store, files, clock)
        endpoint = TokenEndpoint(settings, files, calls, clock, telemetry.calls)
        further = await parts.enter_async_context(source.listening(record))
        further |= await parts.enter_async_context(endpoint.listening()) | server.further_addresses
        endless = broker.endless() | files.endless | server.endless() | store_access.endless(store)
        endless |= source.endless(address, say) | dict(telemetry.follow(broker, files, reloader, usage))
        endless |= {"reloading": reloader.run, "audit counts": repeats.run, "usage": usage.run}
        async with Supervisor(clock, faults, random.Random()).running(endless):  # noqa: S311 - spreads restarts
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.check_now)
            try:
                await server.start()
                await _announce(settings, {"listen": address, **further}, store)
                ready(address)
                await stopping.wait()
                await _drain(server, endpoint, broker, usage, settings.drain_timeout)
            finally:
                await server.stop(grace=0.0)
    get_logger(__name__).info("stopped")


def _audience_warnings(settings: Settings, clock: Clock) -> AudienceWarnings:
    """Not for clients whose tokens may be for any audience."""
    off = {name for name, issuer in settings.issuers.items() if issuer.audience_check == "off"}
    unchecked = [name for name, client in settings.clients.items() if client.issuer in off]
    return AudienceWarnings(unchecked, settings.with_several_audiences, clock, granted_of, AUDIENCE_REMEDY)


def _authorizer(
    settings: Settings,
    files: AccessFiles,
    broker: Broker,
    telemetry: Telemetry,
    record: Callable[[CallRecord], None] | None,
    clock: Clock,
) -> Authorizer:
    quotas = Quotas(quota_options(settings), clock)
    guards = Guards(files.identify, files.policy, quotas, record, files.identities, telemetry.recent.denied)
    return Authorizer(guards, clock, broker.key_hash, telemetry.calls)


async def _announce(settings: Settings, addresses: Mapping[str, str], store: RedisStore) -> None:
    """Where calls are answered. Logs if the store is unavailable: the service starts all the same, as in an outage."""
    names = sorted(settings.clients)
    get_logger(__name__).info("serving", **addresses, store=settings.redis.safe_url, clients=names)
    try:
        await store.ping()
    except StoreUnavailable as error:
        cause = await store.diagnose(error)
        get_logger(__name__).warning("store_unavailable", detail=str(cause), remedy=cause.remedy)


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
    export_options(settings, files)
    for name, issuer in settings.issuers.items():
        issuer_sources(name, issuer, files)
    for name, client in settings.clients.items():
        client_credentials(name, client, files)
    if settings.audit_file is not None:
        require_audit_file(settings.audit_file)


async def reseal(settings: Settings) -> Resealed:
    """Seal all tokens in the store with the newest key, for `mintonced reseal`. Raises MintonceError."""
    clock = SystemClock()
    async with store_of(settings, clock, AccessFiles(settings, clock).keyring) as store:
        return await store.reseal()


async def _drain(server: Server, endpoint: TokenEndpoint, broker: Broker, usage: UsageCounter, grace: float) -> None:
    """Let calls and mints in progress finish; end watches with a status that makes clients reconnect elsewhere."""
    get_logger(__name__).info("draining", grace=grace)
    await server.drain()
    broker.drain()
    await asyncio.gather(server.stop(grace), endpoint.stop(grace))
    await broker.close(grace)
    await usage.close()


def granted_of(error: MintonceError | None) -> Grant | None:
    """What the issuer granted with a token that was refused because of its audience."""
    return error.grant if isinstance(error, WrongAudience) else None
