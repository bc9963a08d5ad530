"""How to reach an issuer, and a client's credentials: plain values, checked when they are created."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from mintonce_server.common.network import is_loopback
from mintonce_server.common.oauth import HMAC_ALGORITHMS, OWN_PARAMETERS
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.response import AudienceCheck
from mintonce_server.issuer.signing import SigningKey

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Dialect = Literal["json", "form"]
AudienceParameter = Literal["audience", "resource", "scope", "none"]
BasicEncoding = Literal["form", "none"]
SeveralAudiences = Literal["no", "repeat", "space"]

AUDIENCE: Final = "{audience}"
"""In `audience_scope`: where the audience stands."""

AS_ISSUER: Final = "issuer"
"""As `assertion_audience`: the issuer's identifier."""

_VISIBLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """How to reach one issuer.

    Attributes:
        token_url: the token endpoint. None: `issuer` has metadata that names it.
        issuer: the issuer's identifier (RFC 8414, section 2). Exactly one of the two is set.
        provider: the kind of server, for remedies; "" if it is not known.
        request: the kind of body: "json" or "form".
        auth: one of `auth.METHODS`.
        auth_is_fixed: a setting chose the method. Otherwise metadata may lead from client_secret_post to
            client_secret_basic.
        basic_encoding: whether id and secret are form-encoded for HTTP Basic, as RFC 6749 requires, or not.
        audience_parameter: how a form names the audience: "resource" as in RFC 8707, "audience", "scope" for a scope
            that is made of it, or "none". In the json dialect it is "audience", unless it is "none".
        audience_scope: for "scope": the scope, with AUDIENCE in it.
        several_audiences: what a space in an audience means: nothing ("no"), or that the parameter is repeated for each
            word ("repeat"), or that it has several words ("space").
        timeout: seconds for a whole mint: connecting, sending, waiting, reading.
        default_lifetime: seconds, for an issuer that does not state a lifetime in `expires_in`.
        token_types: values of `token_type` that mean a bearer token, in lower case.
        ca_file: PEM file of the CAs to trust instead of the system's.
        system_authorities: trust the system's CAs besides those of `ca_file`.
        allow_http: allow plain `http://` to other hosts than loopback. The secret is then sent unencrypted.
        assertion_audience: `aud` of client assertions; AS_ISSUER: `issuer`; None: the token endpoint.
        allow_bound_tokens: share tokens that are bound to a certificate or key of ours, though callers have neither.
        audience_check: "refuse": a JWT must name the requested audience. The other values concern logging only.
    """

    token_url: str | None
    issuer: str | None
    provider: str
    request: Dialect
    auth: str
    auth_is_fixed: bool
    basic_encoding: BasicEncoding
    audience_parameter: AudienceParameter
    audience_scope: str
    several_audiences: SeveralAudiences
    timeout: float
    http2: bool
    default_lifetime: float | None
    token_types: frozenset[str]
    ca_file: str | None
    system_authorities: bool
    allow_http: bool
    assertion_audience: str | None
    allow_bound_tokens: bool
    audience_check: AudienceCheck

    def __post_init__(self) -> None:
        if self.token_url is not None:
            check_endpoint_url(self.token_url, self.allow_http, "token_url")
        elif self.issuer is not None:
            check_endpoint_url(self.issuer, self.allow_http, "issuer")
        else:
            raise ValueError("one of token_url and issuer must be set")
        if self.assertion_audience == AS_ISSUER and self.issuer is None:
            raise ValueError(f'assertion_audience = "{AS_ISSUER}" needs `issuer`')

    @property
    def address(self) -> str:
        """The URL in the settings that leads to the token endpoint."""
        return self.token_url or self.issuer or ""

    @property
    def address_setting(self) -> str:
        """The name of the setting of `address`, for remedies."""
        return "token_url" if self.token_url is not None else "issuer"

    @property
    def is_https(self) -> bool:
        """Whether TLS authenticates the issuer and encrypts the connection."""
        return urlsplit(self.address).scheme == "https"

    @property
    def host(self) -> str:
        """The only part of the URL that messages name."""
        return urlsplit(self.address).hostname or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSources:
    """What may change while the service runs. Each function is called at each request.

    Attributes:
        authorities: the current content of `ca_file`, or None for what the options say.
        proxy: the proxy for a URL, or None to connect directly. May hold a password. Environment variables and
            ~/.netrc are not read here: the latter would even replace the client's own credentials.
        headers: further headers of each request, such as the key of an API gateway.
    """

    authorities: Callable[[], bytes] | None = None
    proxy: Callable[[str], Secret | None] = field(default=lambda _: None)
    headers: Callable[[], Mapping[str, Secret]] = field(default=dict[str, Secret])


FIXED: Final = EndpointSources()
"""Nothing changes: no proxy, no further headers."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A client's credentials. The issuer's `auth` decides which of them are used.

    Functions are called at each mint, so that their values may change.

    Attributes:
        client_secret: the secret, or a function that returns it.
        extra: claims to add to every request. They replace none of its other parameters. Their values may be private,
            so the repr leaves them out.
        client_secrets: instead of `client_secret`: two, newest first, while one is being replaced at the issuer.
        signing_key: for private_key_jwt; see `load_signing_key`.
        certificate: for tls_client_auth, or in addition to another method; see `load_client_certificate`.
        default_scopes: requested if the key has no scopes.
        hmac_algorithm: for client_secret_jwt; one of HMAC_ALGORITHMS.
    """

    client_id: str
    client_secret: Secret | Callable[[], Secret] | None = field(default=None, repr=False)
    extra: Mapping[str, JSON] = field(default_factory=dict[str, JSON], repr=False)
    client_secrets: Callable[[], Sequence[Secret]] | None = field(default=None, repr=False)
    signing_key: Callable[[], SigningKey] | None = field(default=None, repr=False)
    certificate: Callable[[], ClientCertificate] | None = field(default=None, repr=False)
    default_scopes: tuple[str, ...] = ()
    hmac_algorithm: str = HMAC_ALGORITHMS[0]

    def __post_init__(self) -> None:
        refused = sorted(OWN_PARAMETERS & self.extra.keys())
        if refused:
            raise ValueError(f"extra may not hold {', '.join(refused)}: the client's own settings define them")

    def secrets(self) -> Sequence[Secret]:
        """The current secrets. Raises ValueError if there is none."""
        if self.client_secrets is not None:
            return self.client_secrets()
        if self.client_secret is None:
            raise ValueError("the client has no secret")
        return [self.client_secret if isinstance(self.client_secret, Secret) else self.client_secret()]


def check_endpoint_url(url: str, allow_http: bool, what: str) -> None:
    """Raises ValueError, whose text never repeats the URL: it may contain a password. `what`: the URL's name in it."""
    if not _VISIBLE.fullmatch(url):
        raise ValueError(f"{what} holds a space, a backslash or a character outside ASCII")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # both parse only now
    except ValueError:
        # No cause: its text quotes what could not be parsed, which is the password in https://user:password.
        raise ValueError(f"{what} is not a URL: its host or port is malformed") from None
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError(f"{what} is not an absolute https:// URL, such as https://YOUR_OAUTH_DOMAIN/oauth/token")
    if "@" in parts.netloc:
        raise ValueError(f"{what} holds a user name or password; set client_id and client_secret instead")
    if "#" in url:
        raise ValueError(f"{what} holds a fragment (#…): an endpoint has none (RFC 6749, section 3.2)")
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ValueError(f"{what} is plain http:// to another host: use https://, or set insecure_issuer if intended")
