"""The composition root: builds the service from its settings, runs it, drains it, stops it. Knows every part."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from mintonce_server.core.broker import Broker, BrokerOptions
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import KeyHasher
from mintonce_server.core.ports import Clock, TokenStore
from mintonce_server.issuer.endpoint import TokenEndpoint
from mintonce_server.issuer.options import ClientCredentials, EndpointOptions
from mintonce_server.rpc.server import Server, ServerOptions
from mintonce_server.settings import ClientSettings, IssuerSettings, Settings
from mintonce_server.store.redis import RedisStore
from mintonce_server.telemetry.clock import SystemClock
from mintonce_server.telemetry.journal import event_sink
from mintonce_server.telemetry.logs import get_logger

INDEX_KEY: Final = b"mintonce index key v1"
"""Names keys in the store. Fixed: every replica must give a key the same name."""


async def serve(settings: Settings, stopping: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Serve until `stopping` is set, then drain. `ready` is told the address once calls are answered.

    Raises OSError when the address is taken. A fault of a background task ends the service: better a restart than a
    replica that no longer hears the fleet.
    """
    clock = SystemClock()
    async with AsyncExitStack() as parts:
        store = await parts.enter_async_context(_store(settings, clock))
        clients = await parts.enter_async_context(_clients(settings, clock))
        broker = Broker(store, clients, clock, event_sink(get_logger("mintonce")), _broker_options(settings))
        server = Server(broker, clock, _server_options(settings))
        address = server.bind()
        async with asyncio.TaskGroup() as background:
            tasks = [background.create_task(endless) for endless in broker.tasks()]
            try:
                await server.start()
                names = sorted(settings.clients)
                get_logger(__name__).info("serving", listen=address, store=settings.redis.safe_url, clients=names)
                await _try_store(store)
                ready(address)
                await stopping.wait()
                await _drain(server, broker, settings.drain_seconds)
            finally:
                await server.stop(grace=0.0)
                for task in tasks:
                    task.cancel()
    get_logger(__name__).info("stopped")


async def ping_store(settings: Settings) -> None:
    """One PING, for `mintonced check`. Raises StoreUnavailable."""
    async with _store(settings, SystemClock()) as store:
        await store.ping()


async def _drain(server: Server, broker: Broker, grace: float) -> None:
    """Calls under way finish, watches end with a status that makes clients reconnect elsewhere, mints land."""
    get_logger(__name__).info("draining", grace=grace)
    await server.drain()
    broker.drain()
    await server.stop(grace)
    await broker.close(grace)


async def _try_store(store: TokenStore) -> None:
    """Say at the start when the store is out of reach; the service goes on, as it would in an outage later."""
    try:
        await store.ping()
    except StoreUnavailable as error:
        get_logger(__name__).warning("store_unavailable", detail=str(error), remedy=error.remedy)


@asynccontextmanager
async def _store(settings: Settings, clock: Clock) -> AsyncGenerator[TokenStore]:
    store = RedisStore.connect(
        settings.redis.url.reveal(),
        hasher=KeyHasher(INDEX_KEY),
        clock=clock,
        lease_seconds=settings.lease_seconds,
        deadline=settings.redis.deadline,
        trouble=lambda error: get_logger(__name__).warning("wakes_interrupted", detail=str(error), remedy=error.remedy),
    )
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _clients(settings: Settings, clock: Clock) -> AsyncGenerator[Clients]:
    """The registered clients, each with its issuer; one pool of connections an issuer."""
    async with AsyncExitStack() as pools:
        endpoints: dict[str, TokenEndpoint] = {}
        for name, issuer in settings.issuers.items():
            endpoints[name] = TokenEndpoint(_endpoint_options(issuer, settings), clock)
            pools.push_async_callback(endpoints[name].close)
        yield Clients(_client(name, client, endpoints) for name, client in settings.clients.items())


def _client(name: str, settings: ClientSettings, endpoints: dict[str, TokenEndpoint]) -> OAuthClient:
    credentials = ClientCredentials(settings.client_id, settings.client_secret, settings.extra)
    return OAuthClient(
        name=name,
        issuer=endpoints[settings.issuer].for_client(credentials),
        audiences=frozenset(settings.audiences),
        credential_version=settings.credential_version,
        keep_warm=settings.keep_warm,
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
        allow_http=settings.insecure_issuer,
    )


def _broker_options(settings: Settings) -> BrokerOptions:
    return BrokerOptions(
        mint_deadline=settings.mint_deadline,
        min_rotation_interval=settings.min_rotation_interval,
        revalidate_within=settings.revalidate_seconds,
        mint_in_outage=settings.store_outage == "mint",
    )


def _server_options(settings: Settings) -> ServerOptions:
    return ServerOptions(
        listen=settings.listen,
        reflection=settings.reflection,
        so_reuseport=settings.so_reuseport,
        max_message_bytes=settings.max_message_bytes,
        max_metadata_bytes=settings.max_metadata_bytes,
        max_concurrent_rpcs=settings.max_concurrent_rpcs,
    )
