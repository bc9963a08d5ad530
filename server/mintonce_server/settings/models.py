"""The settings themselves: frozen values, each with its meaning, from which the settings reference is made."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mintonce_server.settings.redis_url import without_secrets
from mintonce_server.settings.values import (
    Algorithms,
    Audiences,
    Duration,
    Flag,
    HttpsUrl,
    Kind,
    Listen,
    Lower,
    Mode,
    Name,
    RedisUrl,
    SecretText,
    Text,
    Texts,
    TokenUrl,
    TrustDomains,
    claims,
)

File = Annotated[Path, Kind("file")]
Extra = Annotated[dict[str, JsonValue], AfterValidator(claims), Kind("table")]


_sources: ContextVar[tuple[PydanticBaseSettingsSource, ...]] = ContextVar("sources", default=())
# The hook of pydantic-settings takes no arguments of ours.


class _Part(BaseModel):
    # hide_input_in_errors: pydantic would print values, secrets among them.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class RedisSettings(_Part):
    """[redis]"""

    url: RedisUrl = Field(
        description="The store: `redis://`, `redis+sentinel://`, `redis+cluster://` (`rediss…` with TLS) or `unix://`."
    )
    url_file: File | None = Field(default=None, description="A file that holds the URL, when a password is in it.")
    deadline: Duration = Field(default=0.25, gt=0, le=60, description="How long one operation of the store may take.")

    @property
    def safe_url(self) -> str:
        """The URL without user, password and options: for people to read."""
        return without_secrets(self.url.reveal())


class TlsSettings(_Part):
    """[tls]"""

    certificate_file: File = Field(description="The server's certificate, with those between it and its CA (PEM).")
    key_file: File = Field(description="The private key of the certificate (PEM).")
    client_ca_file: File | None = Field(
        default=None, description="Who signs callers' certificates (PEM). Then each caller at `listen` must show one."
    )
    trust_domains: TrustDomains = Field(
        default=(), description="SPIFFE trust domains that callers may be of, such as `prod.example.com`."
    )


class JwtIssuerSettings(_Part):
    """[jwt_issuers.NAME]"""

    issuer: Text = Field(min_length=1, description="What `iss` of a caller's JWT must be, to the letter.")
    audiences: Texts = Field(min_length=1, description="One of these must be in `aud`.")
    jwks_file: File | None = Field(
        default=None, description="The issuer's public keys (RFC 7517). This, or `jwks_url`."
    )
    jwks_url: HttpsUrl | None = Field(default=None, description="Where to fetch them, by https.")
    ca_file: File | None = Field(default=None, description="Certificate authorities to trust for `jwks_url` (PEM).")
    algorithms: Algorithms = Field(
        default=("RS256", "ES256"), min_length=1, description="Signature algorithms to accept; only asymmetric ones."
    )
    leeway: Duration = Field(default=30.0, le=60, description="How far clocks may differ.")


class IssuerSettings(_Part):
    """[issuers.NAME]"""

    token_url: TokenUrl = Field(description="The token endpoint. This, or `domain`.")
    domain: Text | None = Field(default=None, description="An OAuth domain: short for `https://DOMAIN/oauth/token`.")
    request: Annotated[Literal["json", "form"], Kind("`json` or `form`")] = Field(
        default="form",
        description="How the request is written: `json`, or `form` as in RFC 6749. With `domain`: `json`.",
    )
    auth: Annotated[
        Literal["client_secret_post", "client_secret_basic", "private_key_jwt", "tls_client_auth"],
        Kind("`client_secret_post`, `client_secret_basic`, `private_key_jwt` or `tls_client_auth`"),
    ] = Field(
        default="client_secret_post",
        description="How a client proves itself: a secret in the body or by HTTP Basic, a signed JWT, a certificate.",
    )
    assertion_audience: Text | None = Field(
        default=None, description="`aud` of the JWT of `private_key_jwt`. Default: the token URL."
    )
    allow_bound_tokens: Flag = Field(
        default=False, description="Share tokens that are bound to a certificate or key, which callers cannot use."
    )
    audience_check: Annotated[Literal["warn", "refuse", "off"], Lower, Kind("`warn`, `refuse` or `off`")] = Field(
        default="warn",
        description="When a JWT's `aud` does not name the audience that was asked for: log it, refuse it, or take it.",
    )
    audience_parameter: Annotated[Literal["audience", "resource"], Kind("`audience` or `resource`")] = Field(
        default="resource", description="What a form calls the audience; `resource` is RFC 8707. JSON says `audience`."
    )
    timeout: Duration = Field(
        default=10.0,
        gt=0,
        le=300,
        description="How long one POST may take, all in all; never past the `mint_deadline`.",
    )
    http2: Flag = Field(default=False, description="Offer HTTP/2.")
    default_lifetime: Duration | None = Field(
        default=None,
        gt=1,
        description="How long a token lives when the issuer does not say. Else the JWT's `exp` counts.",
    )
    ca_file: File | None = Field(
        default=None, description="Certificate authorities to trust (PEM) instead of the usual ones."
    )


class ClientSettings(_Part):
    """[clients.NAME]"""

    issuer: Text = Field(default="default", description="The name of the issuer that this client mints from.")
    client_id: Text = Field(min_length=1, description="What the issuer calls the client.")
    client_secret: SecretText | None = Field(
        default=None, description="The client's secret. Better in a file: `client_secret_file`."
    )
    client_secret_file: File | None = Field(default=None, description="A file that holds the secret, and nothing else.")
    other_client_secret_file: File | None = Field(
        default=None, description="A second secret, tried when the first is refused: while one is being rotated."
    )
    signing_key_file: File | None = Field(default=None, description="The key of `private_key_jwt` (PEM).")
    signing_algorithm: Annotated[
        Literal["RS256", "PS256", "ES256", "EdDSA"], Kind("`RS256`, `PS256`, `ES256` or `EdDSA`")
    ] = Field(default="RS256", description="What it signs with.")
    signing_key_id: Text | None = Field(default=None, description="`kid` of the JWT. Default: none.")
    certificate_file: File | None = Field(default=None, description="The certificate of `tls_client_auth` (PEM).")
    key_file: File | None = Field(default=None, description="The private key of that certificate (PEM).")
    audiences: Audiences = Field(
        default=("*",), min_length=1, description='What its tokens may be for; `["*"]`: anything.'
    )
    extra: Extra = Field(
        default_factory=dict[str, JsonValue], repr=False, description="Claims that travel with each request."
    )
    credential_version: int = Field(
        default=1,
        ge=1,
        le=2**31,
        description="Raise it with each new secret: the tokens of older ones then count no more.",
    )
    keep_warm: Flag = Field(default=False, description="Renew its tokens even when nobody asks for them.")


class ServerSettings(_Part):
    """The top level."""

    listen: Listen = Field(default="127.0.0.1:50051", description="Where to serve gRPC: `HOST:PORT` or `unix:/PATH`.")
    bearer_listen: Listen | None = Field(
        default=None,
        description="One more address, by TLS, for callers that have a JWT or an API key and no certificate.",
    )
    health_listen: Listen | None = Field(
        default=None, description="An address in clear for probes: it answers grpc.health.v1 and nothing else."
    )
    socket_mode: Mode = Field(default="0600", description="Who may reach a `unix:` socket, as chmod writes it.")
    insecure_listen: Flag = Field(
        default=False, description="Listen beyond loopback though callers prove no identity, or in clear."
    )
    api_keys_file: File | None = Field(
        default=None, description="Callers' API keys, hashed. `mintonced apikey NAME` makes one."
    )
    policy_file: File | None = Field(
        default=None, description="Which caller may have which tokens; see docs/policy.md."
    )
    audit_file: File | None = Field(default=None, description="Where each decision and each mint is written down.")
    sealing_keys_file: File | None = Field(
        default=None, description="The keys that seal tokens in the store. `mintonced keygen` makes them."
    )
    insecure_store: Flag = Field(
        default=False,
        description="Do without `sealing_keys_file` beyond loopback: the store's readers have the tokens.",
    )
    insecure_redis: Flag = Field(
        default=False,
        description="Speak with Redis in clear beyond loopback: whoever is in between reads the password.",
    )
    insecure_issuer: Flag = Field(default=False, description="Send secrets over plain `http://` beyond loopback.")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Lower, Kind("`debug`, `info`, `warning` or `error`")
    ] = Field(default="info", description="The least level that is logged.")
    log_format: Annotated[Literal["json", "console"], Lower, Kind("`json` or `console`")] = Field(
        default="json", description="How a log line looks."
    )
    reflection: Flag = Field(default=False, description="Serve gRPC reflection.")
    so_reuseport: Flag = Field(default=False, description="Let several processes listen on the same port.")
    store_outage: Annotated[Literal["mint", "refuse"], Lower, Kind("`mint` or `refuse`")] = Field(
        default="mint", description="While the store is out of reach and memory has no token: mint alone, or refuse."
    )
    drain_seconds: Duration = Field(
        default=10.0, le=3600, description="How long calls in flight may take to finish at the end."
    )
    max_message_bytes: int = Field(
        default=65_536, ge=1024, le=2**24, description="The longest request that is accepted."
    )
    max_metadata_bytes: int = Field(default=16_384, ge=1024, le=2**20, description="The longest metadata of a request.")
    max_concurrent_rpcs: int = Field(
        default=10_000, ge=1, le=2**20, description="More calls at a time, watches included, are turned away."
    )
    max_connection_age: Duration = Field(
        default=1800.0, gt=0, description="Callers connect anew so often: a certificate that is revoked ends then."
    )
    max_keys_per_client: int = Field(
        default=10_000,
        ge=1,
        le=10**7,
        description="Keys of one client that a replica holds. Callers share the places fairly; unused keys make room.",
    )
    max_watches_per_caller: int = Field(default=1000, ge=1, le=10**6, description="Watches of one caller at a time.")
    max_calls_per_caller: int = Field(default=2000, ge=1, le=10**6, description="Calls of one caller at a time.")
    mints_per_second: float = Field(
        default=20.0,
        gt=0,
        le=10**6,
        description="Calls of one caller that may cause a mint, each second, in the long run.",
    )
    mint_burst: int = Field(default=500, ge=1, le=10**6, description="Such calls at once.")
    rejects_per_second: float = Field(
        default=1.0, gt=0, le=10**6, description="Rejections by one caller, each second, in the long run."
    )
    reject_burst: int = Field(default=20, ge=1, le=10**6, description="Rejections at once.")
    reload_interval: Duration = Field(
        default=1.0, ge=0.1, le=3600, description="How often files are looked at for changes."
    )
    min_rotation_interval: Duration = Field(
        default=30.0, le=86_400, description="A rejection of a key counts no oftener."
    )
    mint_deadline: Duration = Field(
        default=10.0, gt=0, le=300, description="How long a mint may take with all that belongs to it."
    )
    lease_seconds: Duration = Field(
        default=3.0, ge=0.5, le=60, description="A lease that is not renewed lapses after this."
    )
    revalidate_seconds: Duration = Field(
        default=5.0,
        ge=0.1,
        le=300,
        description="How old the store's word may be that a token in memory is still current.",
    )


class Settings(ServerSettings, BaseSettings):
    """All that the program is told. Made by hand, it asks no source: only `load` reads the environment and files."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    redis: RedisSettings
    tls: TlsSettings | None = None
    jwt_issuers: dict[Name, JwtIssuerSettings] = Field(default_factory=dict[str, JwtIssuerSettings])
    issuers: dict[Name, IssuerSettings]
    clients: dict[Name, ClientSettings]

    @classmethod
    def from_sources(cls, *sources: PydanticBaseSettingsSource) -> Self:
        """What the sources say; earlier ones win. Raises ValidationError, which holds the values: keep it in."""
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
        """The hook of pydantic-settings. None of its own sources is taken: sources.py says why."""
        return (init_settings, *_sources.get())
