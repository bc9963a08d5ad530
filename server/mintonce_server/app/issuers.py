"""Clients and their issuers, from the settings."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from mintonce_server.app.options import endpoint_options
from mintonce_server.app.telemetry import Telemetry
from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.config import ClientSettings, IssuerSettings, Settings
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import IssuerError
from mintonce_server.core.ports import Issuer
from mintonce_server.core.tracing import RequestTracer
from mintonce_server.core.turns import Turns
from mintonce_server.issuer.endpoint import TokenEndpoint
from mintonce_server.issuer.identity import Asked, client_identity
from mintonce_server.issuer.metadata import Metadata
from mintonce_server.observability.http_meter import CountRequest, ignore_request
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import Reminder
from mintonce_server.reload.access import AccessFiles
from mintonce_server.reload.issuer_files import client_credentials, issuer_sources


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
async def clients_of(
    settings: Settings,
    clock: Clock,
    files: AccessFiles,
    telemetry: Telemetry,
) -> AsyncGenerator[Clients]:
    """The registered clients, each with its issuer. One connection pool per issuer."""
    async with AsyncExitStack() as pools:
        endpoints: dict[str, TokenEndpoint] = {}
        turns = {name: Turns() for name in settings.issuers}
        for name, issuer in settings.issuers.items():
            tracer = telemetry.request_tracer(name)
            endpoints[name] = _endpoint(name, issuer, settings, clock, files, telemetry.requests, tracer)
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


def _endpoint(
    name: str,
    issuer: IssuerSettings,
    settings: Settings,
    clock: Clock,
    files: AccessFiles,
    on_request: CountRequest = ignore_request,
    tracer: RequestTracer | None = None,
) -> TokenEndpoint:
    log, reminder = get_logger(__name__), Reminder(clock)

    def read(metadata: Metadata) -> None:
        reminder.over()
        log.info("issuer_metadata", issuer=name, token_endpoint=metadata.token_url.partition("?")[0])

    def failed(error: IssuerError) -> None:
        if reminder.is_due(str(error)):
            log.warning("issuer_metadata_unavailable", issuer=name, detail=str(error), remedy=error.remedy)

    options, sources = endpoint_options(issuer, settings), issuer_sources(name, issuer, files)
    return TokenEndpoint(options, clock, sources, on_read=read, on_failure=failed, on_request=on_request, tracer=tracer)


def _address(issuer: IssuerSettings) -> str:
    return issuer.token_url or issuer.issuer or ""
