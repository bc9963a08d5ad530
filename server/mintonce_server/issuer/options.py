"""How to reach an issuer, and a client's credentials: plain values, checked when they are created."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from mintonce_server.common.network import is_loopback
from mintonce_server.common.oauth import OWN_PARAMETERS
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.response import AudienceCheck
from mintonce_server.issuer.signing import SigningKey

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Dialect = Literal["json", "form"]
AudienceParameter = Literal["audience", "resource"]


_VISIBLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """How to reach one issuer. The defaults are those of the settings.

    Attributes:
        request: the kind of body: "json" or "form".
        auth: one of `auth.METHODS`.
        audience_parameter: the audience's name in a form: "resource" as in RFC 8707, or "audience". In the json
            dialect it is always "audience".
        timeout: seconds for a whole mint: connecting, sending, waiting, reading.
        default_lifetime: seconds, for an issuer that does not send `expires_in`.
        ca_file: PEM file of the CAs to trust instead of the well-known ones.
        proxy: URL of an HTTP proxy. The environment's proxy variables and ~/.netrc are ignored: the latter would even
            replace the client's own credentials.
        allow_http: allow plain `http://` to other hosts than loopback. The secret is then sent unencrypted.
        assertion_audience: `aud` of the assertions of private_key_jwt; None: `token_url`.
        allow_bound_tokens: share tokens that are bound to a certificate or key of ours, though callers have neither.
        audience_check: "refuse": a JWT must name the requested audience. The other values concern logging only.
    """

    token_url: str
    request: Dialect
    auth: str
    audience_parameter: AudienceParameter
    timeout: float
    http2: bool
    default_lifetime: float | None
    ca_file: str | None
    proxy: str | None = field(repr=False)  # may hold a password
    allow_http: bool
    assertion_audience: str | None
    allow_bound_tokens: bool
    audience_check: AudienceCheck

    def __post_init__(self) -> None:
        check_token_url(self.token_url, self.allow_http)
        if self.proxy is not None and not self.is_https and not self.allow_http:
            # Plain http:// to loopback is safe only because nothing leaves this machine.
            raise ValueError("token_url is plain http:// and a proxy would see it: use https://, or no proxy")

    @property
    def is_https(self) -> bool:
        """Whether TLS authenticates the issuer and encrypts the connection."""
        return urlsplit(self.token_url).scheme == "https"

    @property
    def host(self) -> str:
        """The only part of the URL that messages name."""
        return urlsplit(self.token_url).hostname or ""


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
        certificate: for tls_client_auth; see `load_client_certificate`.
    """

    client_id: str
    client_secret: Secret | Callable[[], Secret] | None = field(default=None, repr=False)
    extra: Mapping[str, JSON] = field(default_factory=dict[str, JSON], repr=False)
    client_secrets: Callable[[], Sequence[Secret]] | None = field(default=None, repr=False)
    signing_key: Callable[[], SigningKey] | None = field(default=None, repr=False)
    certificate: Callable[[], ClientCertificate] | None = field(default=None, repr=False)

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


def check_token_url(url: str, allow_http: bool) -> None:
    """Raises ValueError, whose text never repeats the URL: it may contain a password."""
    if not _VISIBLE.fullmatch(url):
        raise ValueError("token_url holds a space, a backslash or a character outside ASCII")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # both parse only now
    except ValueError:
        # No cause: its text quotes what could not be parsed, which is the password in https://user:password.
        raise ValueError("token_url is not a URL: its host or port is malformed") from None
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError("token_url is not an absolute https:// URL, such as https://YOUR_OAUTH_DOMAIN/oauth/token")
    if "@" in parts.netloc:
        raise ValueError("token_url holds a user name or password: set client_id and client_secret instead")
    if "#" in url:
        raise ValueError("token_url holds a fragment (#…): an endpoint has none (RFC 6749, section 3.2)")
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ValueError("token_url is plain http:// to another host: use https://, or set allow_http if intended")
