"""From the settings to the options of each part."""

from mintonce_server.api.options import HANDSHAKE_SECONDS, IDLE_SECONDS, MAX_WASTED_CALLS, ServerOptions
from mintonce_server.config import IssuerSettings, Settings
from mintonce_server.core.broker import BrokerOptions
from mintonce_server.core.limits import QuotaOptions
from mintonce_server.issuer.options import EndpointOptions
from mintonce_server.reload.access import AccessFiles


def endpoint_options(issuer: IssuerSettings, settings: Settings) -> EndpointOptions:
    """For the token endpoint of one issuer."""
    return EndpointOptions(
        token_url=issuer.token_url,
        issuer=issuer.issuer,
        provider=issuer.provider or "",
        request=issuer.request,
        auth=issuer.auth,
        auth_is_fixed="auth" in issuer.model_fields_set,
        basic_encoding=issuer.basic_encoding,
        audience_parameter=issuer.audience_parameter,
        audience_scope=issuer.audience_scope,
        several_audiences=issuer.several_audiences,
        timeout=settings.mint_timeout,
        http2=issuer.http2,
        default_lifetime=issuer.default_lifetime,
        token_types=frozenset(" ".join(kind.lower().split()) for kind in issuer.token_types),
        ca_file=str(issuer.ca_file) if issuer.ca_file else None,
        system_authorities=issuer.system_authorities,
        allow_http=settings.insecure_issuer,
        assertion_audience=issuer.assertion_audience,
        allow_bound_tokens=issuer.allow_bound_tokens,
        audience_check=issuer.audience_check,
    )


def broker_options(settings: Settings) -> BrokerOptions:
    """For the engine."""
    return BrokerOptions(
        mint_deadline=settings.mint_timeout,
        min_rotation_interval=settings.min_rotation_interval,
        revalidate_within=settings.revalidate_interval,
        mint_in_outage=settings.store_outage == "mint",
        max_keys_per_client=settings.limits.max_keys_per_client,
    )


def server_options(settings: Settings, files: AccessFiles) -> ServerOptions:
    """For the gRPC server."""
    return ServerOptions(
        listen=settings.listen,
        bearer_listen=settings.bearer_listen,
        health_listen=settings.health_listen,
        socket_mode=int(settings.socket_mode, 8),
        tls=files.tls,
        reflection=settings.reflection,
        max_concurrent_rpcs=settings.limits.max_concurrent_rpcs,
        max_streams_per_connection=settings.limits.max_streams_per_connection,
        max_wasted_calls=MAX_WASTED_CALLS,
        message_timeout=settings.limits.message_timeout,
        max_connection_age=settings.limits.max_connection_age,
        handshake_seconds=HANDSHAKE_SECONDS,
        idle_seconds=IDLE_SECONDS,
    )


def quota_options(settings: Settings) -> QuotaOptions:
    """For the limits of each caller."""
    return QuotaOptions(
        mints_per_second=settings.limits.mints_per_second,
        mint_burst=settings.limits.mint_burst,
        rejects_per_second=settings.limits.rejects_per_second,
        reject_burst=settings.limits.reject_burst,
        max_watches_per_caller=settings.limits.max_watches_per_caller,
        max_calls_per_caller=settings.limits.max_calls_per_caller,
        anonymous_callers=settings.limits.anonymous_callers,
    )
