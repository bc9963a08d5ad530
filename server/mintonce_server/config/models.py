"""The settings: frozen values, each with its meaning. The settings reference is generated from them."""

from contextvars import ContextVar
from typing import Annotated, Final, Literal, Self

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mintonce_server.config.issuer_models import ClientSettings, IssuerSettings
from mintonce_server.config.redis_url import without_secrets
from mintonce_server.config.tracing_types import OtlpUrl
from mintonce_server.config.types import (
    Algorithms,
    Duration,
    File,
    Flag,
    HttpsUrl,
    Kind,
    Listen,
    Lower,
    Mode,
    Name,
    Prefix,
    RedisUrl,
    Section,
    Text,
    Texts,
    TrustDomains,
)
from mintonce_server.core.budget import Budget


class ServerSettings(Section):
    """The top level."""

    listen: Listen = Field(
        default="127.0.0.1:50051", description="Address of the gRPC server: `HOST:PORT` or `unix:/PATH`."
    )
    bearer_listen: Listen | None = Field(
        default=None,
        description="Additional TLS address for callers with a JWT or an API key, without a certificate.",
    )
    health_listen: Listen | None = Field(
        default=None, description="Additional address without TLS for health probes. Serves only grpc.health.v1."
    )
    socket_mode: Mode = Field(default="0600", description="File mode of a `unix:` socket.")
    insecure_listen: Flag = Field(
        default=False, description="Allow a non-loopback listener without TLS or caller authentication."
    )
    api_keys_file: File | None = Field(
        default=None, description="Hashed API keys of callers. `mintonced apikey NAME` makes one."
    )
    policy_file: File | None = Field(
        default=None, description="Which callers may get which tokens; see docs/security/policy.md."
    )
    audit_file: File | None = Field(
        default=None, description="Audit log: one line for each decision and each mint; see docs/security/audit.md."
    )
    audit_interval: Duration = Field(
        default=60.0,
        ge=1,
        le=86_400,
        description="Repeated refusals of one caller or network are counted and written once per interval.",
    )
    sealing_keys_file: File | None = Field(
        default=None, description="Keys that encrypt tokens in the store. `mintonced keygen` makes them."
    )
    insecure_store: Flag = Field(
        default=False,
        description="Allow a non-loopback listener or store without `sealing_keys_file`: the store then shows tokens.",
    )
    insecure_redis: Flag = Field(
        default=False,
        description="Allow a non-loopback Redis without TLS: the password and all commands can be read and changed.",
    )
    insecure_issuer: Flag = Field(
        default=False, description="Allow a non-loopback issuer with `http://`: client secrets are sent unencrypted."
    )
    reflection: Flag = Field(default=False, description="Serve gRPC reflection.")
    store_outage: Annotated[Literal["mint", "refuse"], Lower, Kind("`mint` or `refuse`")] = Field(
        default="mint",
        description="During a store outage, if no valid token is in memory: mint without the store, or refuse.",
    )
    drain_timeout: Duration = Field(
        default=10.0, le=3600, description="Maximum time for calls in progress to finish on shutdown."
    )
    min_rotation_interval: Duration = Field(
        default=30.0, le=86_400, description="Minimum interval between accepted rejections of one key."
    )
    mint_timeout: Duration = Field(
        default=10.0, gt=0, le=300, description="Maximum time for a mint, including the request to the issuer."
    )
    lease_ttl: Duration = Field(
        default=3.0, ge=0.5, le=60, description="A lease that is not renewed expires after this time."
    )
    revalidate_interval: Duration = Field(
        default=5.0,
        ge=0.1,
        le=300,
        description="Maximum time a cached token may be served without checking the store.",
    )


class LimitsSettings(Section):
    """[limits]"""

    max_concurrent_rpcs: int = Field(
        default=10_000,
        ge=1,
        le=2**20,
        description="Maximum concurrent calls per address, watches included. Callers without a valid identity have a"
        " quota of their own.",
    )
    max_streams_per_connection: int = Field(
        default=2000,
        ge=1,
        le=10**6,
        description="Maximum concurrent calls per connection, watches included. Clients queue further ones.",
    )
    message_timeout: Duration = Field(
        default=5.0, ge=0.1, le=300, description="Maximum time between the headers and the message of a call."
    )
    max_connection_age: Duration = Field(
        default=1800.0,
        gt=0,
        description="Maximum age of a connection. Callers reconnect, which ends access with a revoked certificate.",
    )
    max_keys_per_client: int = Field(
        default=10_000,
        ge=1,
        le=10**7,
        description="Maximum cached keys per client and replica, shared fairly by callers. Unused keys are evicted.",
    )
    max_watches_per_caller: int = Field(
        default=1000, ge=1, le=10**6, description="Maximum concurrent watches per caller."
    )
    max_calls_per_caller: int = Field(default=2000, ge=1, le=10**6, description="Maximum concurrent calls per caller.")
    anonymous_callers: int = Field(
        default=10,
        ge=1,
        le=10**6,
        description="If callers are not authenticated, all of them together have the limits of this many callers.",
    )
    mints_per_second: float = Field(
        default=20.0, gt=0, le=10**6, description="Sustained rate of calls per caller that may cause a mint."
    )
    mint_burst: int = Field(default=500, ge=1, le=10**6, description="Burst size of calls that may cause a mint.")
    rejects_per_second: float = Field(
        default=1.0, gt=0, le=10**6, description="Sustained rate of rejections per caller."
    )
    reject_burst: int = Field(default=20, ge=1, le=10**6, description="Burst size of rejections.")


class LogSettings(Section):
    """[log]"""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Lower, Kind("`debug`, `info`, `warning` or `error`")
    ] = Field(default="info", description="Minimum log level.")
    format: Annotated[Literal["json", "console"], Lower, Kind("`json` or `console`")] = Field(
        default="json", description="Format of log lines."
    )


class HttpSettings(Section):
    """[http]"""

    listen: Listen | None = Field(
        default=None,
        description="Address for `/metrics` and the status page: `HOST:PORT` or `unix:/PATH`, such as"
        " `127.0.0.1:9464`. Beyond loopback it has TLS, and callers need the act `admin`.",
    )
    insecure_metrics: Flag = Field(
        default=False,
        description="Allow `/metrics` for everyone who reaches `http.listen`, and in clear where there is no `[tls]`.",
    )
    names: Texts = Field(
        default=(),
        description="Host names by which people open the status page, besides those of the server's certificate,"
        " `localhost` and IP addresses.",
    )


class TokenEndpointSettings(Section):
    """[token_endpoint]"""

    listen: Listen | None = Field(
        default=None,
        description="Address of the token endpoint for OAuth libraries, `POST /oauth/token`: `HOST:PORT` or"
        " `unix:/PATH`. TLS and callers' identities as on `listen`; client certificates may be missing.",
    )
    deadline: Duration = Field(
        default=4.0, gt=0, le=4.5, description="Maximum time for an answer, below the time-outs of common libraries."
    )
    min_ttl: Duration = Field(
        default=90.0,
        ge=0,
        le=3600,
        description="Remaining life that a token should have, up to half of its lifetime: more than the time before"
        " the end at which libraries ask for the next one. MSAL needs 330s.",
    )
    revocation: Flag = Field(
        default=False,
        description="Serve `POST /oauth/revoke`, which rejects the token for the whole fleet. Callers need the act"
        " `reject`.",
    )
    public_url: HttpsUrl | None = Field(
        default=None, description="URL of the endpoint as libraries have it. Turns discovery on (RFC 8414), for MSAL."
    )
    max_connections: int = Field(
        default=4096, ge=1, le=10**6, description="Maximum connections. One IP address may have a quarter of them."
    )
    failed_proofs_per_second: float = Field(
        default=10.0,
        ge=0,
        le=10**6,
        description="Failed proofs of identity for each IP address; five times as many at once. 0: no limit, as where"
        " one proxy brings all callers.",
    )


class RedisSettings(Section):
    """[redis]"""

    url: RedisUrl = Field(
        description="The store: `redis://`, `redis+sentinel://`, `redis+cluster://` (`rediss…` with TLS) or `unix://`."
    )
    url_file: File | None = Field(
        default=None,
        description="File that contains the URL. A new user or password in it takes effect at run time.",
    )
    prefix: Prefix = Field(
        default="mintonce",
        description="Prefix of all names in Redis. Installations that share a Redis need different ones.",
    )
    timeout: Duration = Field(default=0.25, gt=0, le=60, description="Maximum time for one operation of the store.")

    @property
    def safe_url(self) -> str:
        """The URL without user, password and options: for people to read."""
        return without_secrets(self.url.reveal())


class TlsSettings(Section):
    """[tls]"""

    certificate_file: File = Field(description="The server's certificate, followed by intermediate certificates (PEM).")
    key_file: File = Field(description="The private key of the certificate (PEM).")
    client_ca_file: File | None = Field(
        default=None, description="CA bundle for client certificates (PEM). Enables mTLS on `listen`."
    )
    trust_domains: TrustDomains = Field(
        default=(), description="SPIFFE trust domains of accepted client certificates, such as `prod.example.com`."
    )


class TracingSettings(Section):
    """[tracing]"""

    endpoint: OtlpUrl | None = Field(
        default=None,
        description="Where traces go: an OTLP receiver for gRPC, `http://HOST:PORT` or `https://HOST:PORT`. Needs the"
        " extra `mintonce[tracing]`. Default: no traces.",
    )
    sample_ratio: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of traces that are recorded where no caller's trace context decides.",
    )
    ca_file: File | None = Field(default=None, description="CA bundle for `endpoint` (PEM). Default: the system's.")
    headers_file: File | None = Field(
        default=None, description="Secret headers for `endpoint`: a file with one `NAME: VALUE` a line."
    )


class JwtIssuerSettings(Section):
    """[jwt_issuers.NAME]"""

    issuer: Text = Field(min_length=1, description="Required value of `iss` in a caller's JWT.")
    audiences: Texts = Field(min_length=1, description="`aud` must contain one of these.")
    jwks_file: File | None = Field(
        default=None, description="The issuer's public keys (RFC 7517). Either this or `jwks_url`."
    )
    jwks_url: HttpsUrl | None = Field(default=None, description="URL of the issuer's public keys (`https://`).")
    jwks_bearer_file: File | None = Field(
        default=None, description="A bearer for `jwks_url`, such as a service-account token of Kubernetes."
    )
    ca_file: File | None = Field(default=None, description="CA bundle for `jwks_url` (PEM). Default: the system's.")
    algorithms: Algorithms = Field(
        default=("RS256", "ES256"), min_length=1, description="Accepted signature algorithms, asymmetric only."
    )
    leeway: Duration = Field(default=30.0, le=60, description="Accepted clock skew.")


_sources: Final[ContextVar[tuple[PydanticBaseSettingsSource, ...]]] = ContextVar("sources", default=())
# A context variable, because the hook of pydantic-settings takes no arguments of ours.


class Settings(ServerSettings, BaseSettings):
    """All settings. Constructed directly, it reads no source: only `load` reads the environment and files."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    limits: LimitsSettings = LimitsSettings()
    log: LogSettings = LogSettings()
    http: HttpSettings = HttpSettings()
    token_endpoint: TokenEndpointSettings = TokenEndpointSettings()
    redis: RedisSettings
    tls: TlsSettings | None = None
    tracing: TracingSettings = TracingSettings()
    jwt_issuers: dict[Name, JwtIssuerSettings] = Field(default_factory=dict[str, JwtIssuerSettings])
    issuers: dict[Name, IssuerSettings]
    clients: dict[Name, ClientSettings]

    @property
    def authenticates_callers(self) -> bool:
        """Whether callers must prove who they are."""
        return bool((self.tls and self.tls.client_ca_file) or self.jwt_issuers or self.api_keys_file)

    @property
    def listens(self) -> tuple[str, ...]:
        """Every address where tokens are handed out."""
        return tuple(filter(None, (self.listen, self.bearer_listen, self.token_endpoint.listen)))

    @property
    def with_several_audiences(self) -> frozenset[str]:
        """Clients for which spaces in an audience separate several."""
        several = {name for name, issuer in self.issuers.items() if issuer.several_audiences != "no"}
        return frozenset(name for name, client in self.clients.items() if client.issuer in several)

    @property
    def budgets(self) -> dict[str, Budget]:
        """Of the clients that have one."""
        return {name: client.budget.budget for name, client in self.clients.items() if client.budget}

    @classmethod
    def from_sources(cls, *sources: PydanticBaseSettingsSource) -> Self:
        """Merge the sources; earlier ones win. Raises ValidationError, which holds values and must not leak."""
        token = _sources.set(sources)
        try:
            return cls.model_validate({})
        finally:
            _sources.reset(token)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The hook of pydantic-settings. config/sources.py says why its sources are not used as they are."""
        return (init_settings, *_sources.get())
