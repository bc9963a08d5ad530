"""How a client authenticates at the issuer (RFC 6749, section 2.3; RFC 7523, section 2.2; RFC 8705, section 2)."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote_plus, urlsplit

from mintonce_server.common.clock import Clock
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.options import JSON, ClientCredentials, EndpointOptions
from mintonce_server.issuer.signing import SigningKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523, section 2.2."""

_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class ClientProof:
    """What authentication adds to one request. Secret, so its repr shows nothing. `secret`: the one that was used."""

    parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    secret: Secret | None = field(default=None, repr=False)


class ClientAuthentication(Protocol):
    """How one client authenticates."""

    def proofs(self) -> Sequence[ClientProof]:
        """For one mint: the proof to send, and at most one more to send if the issuer refuses the first."""
        ...

    def worked(self, proof: ClientProof) -> None:
        """The issuer accepted this proof: it comes first from now on."""
        ...

    def fingerprint(self) -> str:
        """64 hex digits that identify all current credentials of the client. They change when one is replaced."""
        ...


MAX_SECRETS: Final = 2
"""With more, a client whose secrets are all wrong would send many POSTs for each mint."""


class SecretsInOrder:
    """Chooses which of two secrets to try first: the one that worked last; before that is known, the newest.

    During a rotation, two secrets are valid for a while, or the new one is not valid yet.
    """

    def __init__(self, source: Callable[[], Sequence[Secret]]) -> None:
        """`source` returns the secrets, newest first. It is called at each mint, so that secrets can be replaced."""
        self._source = source
        self._known: Sequence[Secret] = ()
        self._worked: Secret | None = None

    def in_order(self) -> Sequence[Secret]:
        """One or two, best first."""
        secrets = tuple(dict.fromkeys(self._source()))[:MAX_SECRETS]
        if secrets != self._known:
            self._known, self._worked = secrets, None
        return sorted(secrets, key=lambda secret: secret != self._worked)  # stable: the others keep their order

    def worked(self, secret: Secret) -> None:
        """The issuer accepted it. Forgotten when the secrets change: then the newest comes first again."""
        if secret in self._known:
            self._worked = secret


@dataclass(frozen=True, slots=True)
class _BySecret:
    client_id: str
    secrets: SecretsInOrder
    write: Callable[[str, Secret], ClientProof]

    def proofs(self) -> Sequence[ClientProof]:
        return [self.write(self.client_id, secret) for secret in self.secrets.in_order()]

    def worked(self, proof: ClientProof) -> None:
        if proof.secret is not None:
            self.secrets.worked(proof.secret)

    def fingerprint(self) -> str:
        return _digest(*sorted(secret.sha256() for secret in self.secrets.in_order()))


@dataclass(frozen=True, slots=True)
class _ByAssertion:
    """private_key_jwt: each request has its own assertion, so that none can be replayed."""

    client_id: str
    key: Callable[[], SigningKey]
    audience: str
    clock: Clock

    def proofs(self) -> Sequence[ClientProof]:
        assertion = self.key().assertion(self.client_id, self.audience, self.clock.unix())
        # client_id is optional here (RFC 7523, section 3), but some issuers look up the client by it.
        parameters = {"client_id": self.client_id, "client_assertion_type": ASSERTION_TYPE}
        return [ClientProof(parameters={**parameters, "client_assertion": assertion})]

    def worked(self, proof: ClientProof) -> None:
        pass

    def fingerprint(self) -> str:
        key = self.key()
        return _digest(key.thumbprint().encode(), (key.key_id or "").encode(), key.algorithm.encode())


@dataclass(frozen=True, slots=True)
class _ByCertificate:
    """tls_client_auth: the connection authenticates the client, the body only names it (RFC 8705, section 2)."""

    client_id: str
    certificate: Callable[[], ClientCertificate]

    def proofs(self) -> Sequence[ClientProof]:
        return [ClientProof(parameters={"client_id": self.client_id})]

    def worked(self, proof: ClientProof) -> None:
        pass

    def fingerprint(self) -> str:
        return _digest(self.certificate().chain_pem)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _post(client_id: str, secret: Secret) -> ClientProof:
    """client_secret_post: id and secret are sent in the body (RFC 6749, section 2.3.1)."""
    return ClientProof(parameters={"client_id": client_id, "client_secret": secret.reveal()}, secret=secret)


def _basic(client_id: str, secret: Secret) -> ClientProof:
    """client_secret_basic: id and secret are sent as HTTP Basic credentials (RFC 6749, section 2.3.1)."""
    # RFC 6749 requires form-urlencoding before they are joined: a colon in the id would end it.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    basic = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
    return ClientProof(headers={"Authorization": basic}, secret=secret)


_SECRET_METHODS: Final[Mapping[str, Callable[[str, Secret], ClientProof]]] = {
    "client_secret_post": _post,
    "client_secret_basic": _basic,
}
METHODS: Final = (*_SECRET_METHODS, "private_key_jwt", "tls_client_auth")
"""The values of an issuer's `auth`."""


def authentication(options: EndpointOptions, credentials: ClientCredentials, clock: Clock) -> ClientAuthentication:
    """How the client authenticates at this issuer. Raises ValueError if the method is unknown or credentials lack."""
    client_id = credentials.client_id
    if options.auth == "private_key_jwt":
        if credentials.signing_key is None:
            raise ValueError("auth 'private_key_jwt' needs a signing key")
        audience = options.assertion_audience or options.token_url
        return _ByAssertion(client_id, credentials.signing_key, audience, clock)
    if options.auth == "tls_client_auth":
        if credentials.certificate is None:
            raise ValueError("auth 'tls_client_auth' needs a certificate")
        if not options.is_https:
            raise ValueError(
                "auth 'tls_client_auth' needs an https:// token_url: a certificate is only presented with TLS"
            )
        return _ByCertificate(client_id, credentials.certificate)
    if options.auth not in _SECRET_METHODS:
        raise ValueError(f"auth '{options.auth}' is not known: use one of {', '.join(METHODS)}")
    if credentials.client_secret is None and credentials.client_secrets is None:
        raise ValueError(f"auth '{options.auth}' needs a client secret")
    return _BySecret(client_id, SecretsInOrder(credentials.secrets), _SECRET_METHODS[options.auth])


_PORTS: Final = {"https": 443, "http": 80}


def client_identity(options: EndpointOptions, client_id: str, extra: Mapping[str, JSON]) -> str:
    """What decides, with audience and scopes, which token the issuer gives. Tokens of another identity are not served.

    The authentication method is not part of it: a renewed or another credential (a secret, then a key) gets the same
    token and needs no mint. Only `tls_client_auth` is part of it, because issuers bind such tokens to the certificate
    (RFC 8705, section 3), and another client cannot use them. Names of issuers and how to reach them (`ca_file`,
    `timeout`, `http2`) do not change what is granted.
    """
    return json.dumps(
        {
            "token_url": canonical_url(options.token_url),
            "client_id": client_id,
            "request": options.request,
            "audience_parameter": "audience" if options.request == "json" else options.audience_parameter,
            "by_certificate": options.auth == "tls_client_auth",
            "extra": dict(extra),
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def canonical_url(url: str) -> str:
    """The same text for URLs that certainly mean the same (RFC 3986, sections 6.2.2.1 and 6.2.3).

    URLs that differ otherwise stay distinct: an extra mint is cheap, a token of another tenant is not.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""  # in lower case
    host = f"[{host}]" if ":" in host else host
    port = parts.port if parts.port is not None and parts.port != _PORTS.get(parts.scheme) else None
    authority = host if port is None else f"{host}:{port}"
    # `geturl` would drop an empty query.
    query = "?" + url.partition("?")[2] if "?" in url else ""
    return f"{parts.scheme}://{authority}{parts.path or '/'}{query}"
