"""The settings themselves: frozen values, each with its meaning, from which the settings reference is made."""

from contextvars import ContextVar
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mintonce_server.config.part import File, Part
from mintonce_server.config.redis_url import without_secrets
from mintonce_server.config.server import ServerSettings
from mintonce_server.config.types import (
    Algorithms,
    Audiences,
    Duration,
    Flag,
    HttpsUrl,
    Kind,
    Lower,
    Name,
    Prefix,
    RedisUrl,
    SecretText,
    Text,
    Texts,
    TokenUrl,
    TrustDomains,
    claims,
)

Extra = Annotated[dict[str, JsonValue], AfterValidator(claims), Kind("table")]


_sources: ContextVar[tuple[PydanticBaseSettingsSource, ...]] = ContextVar("sources", default=())
# The hook of pydantic-settings takes no arguments of ours.


class RedisSettings(Part):
    """[redis]"""

    url: RedisUrl = Field(
        description="The store: `redis://`, `redis+sentinel://`, `redis+cluster://` (`rediss…` with TLS) or `unix://`."
    )
    url_file: File | None = Field(
        default=None,
        description="A file that holds the URL, when a password is in it. Read again for a new user or password.",
    )
    prefix: Prefix = Field(
        default="mintonce",
        description="Names in Redis begin with it. Installations that share one need different ones.",
    )
    deadline: Duration = Field(default=0.25, gt=0, le=60, description="How long one operation of the store may take.")

    @property
    def safe_url(self) -> str:
        """The URL without user, password and options: for people to read."""
        return without_secrets(self.url.reveal())


class TlsSettings(Part):
    """[tls]"""

    certificate_file: File = Field(description="The server's certificate, with those between it and its CA (PEM).")
    key_file: File = Field(description="The private key of the certificate (PEM).")
    client_ca_file: File | None = Field(
        default=None, description="Who signs callers' certificates (PEM). Then each caller at `listen` must show one."
    )
    trust_domains: TrustDomains = Field(
        default=(), description="SPIFFE trust domains that callers may be of, such as `prod.example.com`."
    )


class JwtIssuerSettings(Part):
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


class IssuerSettings(Part):
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


class ClientSettings(Part):
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
        description="Raise it after a leak: the tokens of older secrets then count no more.",
    )
    keep_warm: Flag = Field(default=False, description="Renew its tokens even when nobody asks for them.")


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
