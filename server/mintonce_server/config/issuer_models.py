"""The settings of issuers and of the clients that are registered there."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from mintonce_server.common.oauth import HmacAlgorithm, SigningAlgorithm
from mintonce_server.config.issuer_types import AudienceScope, HeaderFiles, Headers, IssuerUrl, ProxyText, Scopes
from mintonce_server.config.profiles import Provider
from mintonce_server.config.types import (
    Audience,
    Audiences,
    Duration,
    File,
    Flag,
    Kind,
    Lower,
    SecretFiles,
    SecretText,
    Section,
    Text,
    Texts,
    TokenUrl,
    claims,
)
from mintonce_server.core.budget import Budget

Extra = Annotated[dict[str, JsonValue], AfterValidator(claims), Kind("table")]


class IssuerSettings(Section):
    """[issuers.NAME]"""

    provider: Annotated[Provider, Lower, Kind("name")] | None = Field(
        default=None,
        description="Kind of server; sets the defaults of the others: see docs/operating/issuers/.",
    )
    issuer: IssuerUrl | None = Field(
        default=None,
        description="The issuer's identifier. Its metadata (RFC 8414, OpenID) names the token endpoint.",
    )
    token_url: TokenUrl | None = Field(
        default=None, description="The token endpoint. Either this, `issuer` or `domain`."
    )
    domain: Text | None = Field(
        default=None,
        description="An OAuth domain: short for `https://DOMAIN/oauth/token`, or for the path of the `provider`.",
    )
    request: Annotated[Literal["json", "form"], Kind("`json` or `form`")] = Field(
        default="form",
        description="Format of token requests: `form` (RFC 6749) or `json`. With `domain`, the default is `json`.",
    )
    auth: Annotated[
        Literal["client_secret_post", "client_secret_basic", "client_secret_jwt", "private_key_jwt", "tls_client_auth"],
        Kind(
            "`client_secret_post`, `client_secret_basic`, `client_secret_jwt`, `private_key_jwt` or `tls_client_auth`"
        ),
    ] = Field(
        default="client_secret_post",
        description="How clients authenticate: secret in the body, HTTP Basic, JWT signed with the secret or a key, or"
        " client certificate.",
    )
    basic_encoding: Annotated[Literal["form", "none"], Kind("`form` or `none`")] = Field(
        default="form",
        description="Encoding of id and secret in HTTP Basic: `form` (RFC 6749), or `none` for servers that do not"
        " decode them.",
    )
    assertion_audience: Text | None = Field(
        default=None,
        description="`aud` of the JWT that authenticates a client; `issuer`: the value of `issuer`. Default: the token"
        " endpoint.",
    )
    allow_bound_tokens: Flag = Field(
        default=False,
        description="Accept tokens bound to a certificate or key (`cnf`), which callers without that key cannot use.",
    )
    audience_check: Annotated[Literal["warn", "refuse", "off"], Lower, Kind("`warn`, `refuse` or `off`")] = Field(
        default="warn",
        description="If a JWT's `aud` lacks the requested audience: log a warning, refuse the token, or ignore it.",
    )
    audience_parameter: Annotated[
        Literal["audience", "resource", "scope", "none"], Kind("`audience`, `resource`, `scope` or `none`")
    ] = Field(
        default="resource",
        description="How a form names the audience: `resource` is RFC 8707, `scope` a scope made by `audience_scope`,"
        " `none` does not send it. JSON requests use `audience` for the first two.",
    )
    audience_scope: AudienceScope = Field(
        default="{audience}", description="Scope that names the audience if `audience_parameter` is `scope`."
    )
    several_audiences: Annotated[Literal["no", "repeat", "space"], Kind("`no`, `repeat` or `space`")] = Field(
        default="no",
        description="Whether spaces in an audience separate several, for which one token is: `repeat` sends the"
        " parameter for each (RFC 8707), `space` sends one with all. `no`: a space is part of a name.",
    )
    http2: Flag = Field(default=False, description="Offer HTTP/2.")
    default_lifetime: Duration | None = Field(
        default=None,
        gt=1,
        description="Token lifetime if the response states none in `expires_in`. Default: `exp` of the JWT.",
    )
    token_types: Texts = Field(
        default=("Bearer", "BearerToken", "Application Access Token"),
        min_length=1,
        description="Values of `token_type` that mean a bearer token, in any case.",
    )
    ca_file: File | None = Field(default=None, description="CA bundle for the issuer (PEM). Default: the system's.")
    system_authorities: Flag = Field(default=False, description="Trust the system's CAs besides those in `ca_file`.")
    proxy: ProxyText | None = Field(
        default=None,
        description="Proxy to the issuer: `http://`, `https://`, `socks5://` or `socks5h://HOST:PORT`; `environment`:"
        " what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say. Default: none.",
    )
    proxy_file: File | None = Field(
        default=None, description="File that contains the proxy's URL, for one with a password."
    )
    headers: Headers = Field(
        default_factory=dict[str, str],
        description="Further headers of each request to the issuer. In the name of a variable, `_` stands for the `-`"
        " of a header: `…__HEADERS__X_API_KEY`.",
    )
    header_files: HeaderFiles = Field(
        default_factory=dict[str, Path],
        description="Further headers whose values are secret: files that each contain one value.",
    )
    propagate_trace: Flag = Field(
        default=False,
        description="Send `traceparent` with requests to the issuer: it then learns trace ids, and what is sampled.",
    )


class BudgetSettings(Section):
    """[clients.NAME.budget]"""

    tokens_per_month: int | None = Field(default=None, ge=0, le=2**53, description="Tokens in a month of UTC.")
    tokens_per_day: int | None = Field(default=None, ge=0, le=2**53, description="Tokens in a day of UTC.")
    warn_at: Annotated[float, Kind("number")] = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Share of the budget from which it is reported. Also reported: 90 % and 100 %.",
    )
    when_used_up: Annotated[Literal["warn", "needed_only"], Lower, Kind("`warn` or `needed_only`")] = Field(
        default="warn",
        description="What happens when the budget is used up: `warn` only reports it; `needed_only` also refuses mints"
        " that no caller needs. A mint that a caller needs is never refused.",
    )
    price_per_token: Annotated[float, Kind("number")] | None = Field(
        default=None, ge=0, le=10**6, allow_inf_nan=False, description="Price of one token, to show what it costs."
    )
    currency: Text | None = Field(
        default=None, min_length=1, max_length=8, description="Currency of the price, such as `EUR`."
    )

    @property
    def budget(self) -> Budget:
        """As the engine knows it."""
        return Budget(
            per_month=self.tokens_per_month,
            per_day=self.tokens_per_day,
            warn_at=self.warn_at,
            needed_only=self.when_used_up == "needed_only",
            price=self.price_per_token,
            currency=self.currency or "",
        )


class ClientSettings(Section):
    """[clients.NAME]"""

    issuer: Text = Field(default="default", description="Name of the issuer of this client's tokens.")
    client_id: Text = Field(min_length=1, description="The client's identifier at the issuer.")
    client_secret: SecretText | None = Field(
        default=None, description="The client's secret. A file is safer: `client_secret_files`."
    )
    client_secret_files: SecretFiles | None = Field(
        default=None,
        min_length=1,
        max_length=2,
        description="Files that each contain only a secret. The second is tried if the issuer refuses the first; it may"
        " be absent.",
    )
    signing_key_file: File | None = Field(default=None, description="Private key for `private_key_jwt` (PEM or JWK).")
    signing_algorithm: Annotated[SigningAlgorithm | HmacAlgorithm | None, Kind("name")] = Field(
        default=None,
        description="Algorithm of the JWT: RS, PS or ES with 256, 384 or 512, or EdDSA; HS256 to HS512 for"
        " `client_secret_jwt`. Default: that of the key, or one of the metadata; RS256 for an RSA key; HS256.",
    )
    signing_key_id: Text | None = Field(default=None, description="`kid` of the signed JWT. Default: none.")
    signing_certificate_file: File | None = Field(
        default=None,
        description="Certificate of the signing key (PEM), for issuers that want `x5t` in the JWT, such as Entra.",
    )
    certificate_file: File | None = Field(
        default=None, description="Certificate for `tls_client_auth` (PEM). With another `auth`, it is presented, too."
    )
    key_file: File | None = Field(default=None, description="Private key of that certificate (PEM).")
    audiences: Audiences = Field(
        default=("*",),
        min_length=1,
        description='Audiences of its tokens; `["*"]`: any. Required if a listener is not loopback.',
    )
    default_audience: Annotated[Audience | None, Kind("string")] = Field(
        default=None,
        description="Audience of requests to the token endpoint that name none; one of `audiences`. No effect on gRPC.",
    )
    default_scopes: Scopes = Field(default=(), description="Scopes to request if the caller requests none.")
    extra: Extra = Field(
        default_factory=dict[str, JsonValue], repr=False, description="Additional parameters of each token request."
    )
    credential_version: int = Field(
        default=1,
        ge=1,
        le=2**31,
        description="Increase it after a leak: tokens minted with older credentials are no longer served.",
    )
    keep_warm: Flag = Field(default=False, description="Refresh its tokens even if they are not requested.")
    budget: Annotated[BudgetSettings, Kind("table")] | None = Field(
        default=None, description="How many tokens may be minted for it: a table; see docs/operating/budget.md."
    )
