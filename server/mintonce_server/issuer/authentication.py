"""How a client proves to the issuer who it is (RFC 6749, section 2.3; RFC 7523, section 2.2; RFC 8705, section 2)."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote_plus

from mintonce_server.core.ports import Clock
from mintonce_server.core.secret import Secret
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.options import ClientCredentials, EndpointOptions
from mintonce_server.issuer.secrets import SecretsInOrder
from mintonce_server.issuer.signing import SigningKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523, section 2.2."""

_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Proof:
    """What the proof adds to one request. Secret, so its repr shows none of it. `secret`: which one it was made of."""

    parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    secret: Secret | None = field(default=None, repr=False)


class ClientAuthentication(Protocol):
    """One client's way to prove itself."""

    def proofs(self) -> Sequence[Proof]:
        """For one mint: what to send, and at most one more to send if the issuer does not take the first."""
        ...

    def worked(self, proof: Proof) -> None:
        """The issuer took this one: it will come first from now on."""
        ...

    def fingerprint(self) -> str:
        """64 hex digits of the credential, or of all that may be shown: another one when it was replaced."""
        ...


@dataclass(frozen=True, slots=True)
class _BySecret:
    client_id: str
    secrets: SecretsInOrder
    write: Callable[[str, Secret], Proof]

    def proofs(self) -> Sequence[Proof]:
        return [self.write(self.client_id, secret) for secret in self.secrets.in_order()]

    def worked(self, proof: Proof) -> None:
        if proof.secret is not None:
            self.secrets.worked(proof.secret)

    def fingerprint(self) -> str:
        return _digest(*sorted(secret.sha256() for secret in self.secrets.in_order()))


@dataclass(frozen=True, slots=True)
class _ByAssertion:
    """private_key_jwt: each request has an assertion of its own, so that none can be replayed."""

    client_id: str
    key: Callable[[], SigningKey]
    audience: str
    clock: Clock

    def proofs(self) -> Sequence[Proof]:
        assertion = self.key().assertion(self.client_id, self.audience, self.clock.unix())
        # client_id is not needed beside it (RFC 7523, section 3), but some look the client up by it.
        parameters = {"client_id": self.client_id, "client_assertion_type": ASSERTION_TYPE}
        return [Proof(parameters={**parameters, "client_assertion": assertion})]

    def worked(self, proof: Proof) -> None:
        pass

    def fingerprint(self) -> str:
        key = self.key()
        return _digest(key.thumbprint().encode(), (key.key_id or "").encode(), key.algorithm.encode())


@dataclass(frozen=True, slots=True)
class _ByCertificate:
    """tls_client_auth: the connection proves it; the body only says who it should be (RFC 8705, section 2)."""

    client_id: str
    certificate: Callable[[], ClientCertificate]

    def proofs(self) -> Sequence[Proof]:
        return [Proof(parameters={"client_id": self.client_id})]

    def worked(self, proof: Proof) -> None:
        pass

    def fingerprint(self) -> str:
        return _digest(self.certificate().chain_pem.encode())


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _post(client_id: str, secret: Secret) -> Proof:
    """client_secret_post: id and secret travel in the body (RFC 6749, section 2.3.1)."""
    return Proof(parameters={"client_id": client_id, "client_secret": secret.reveal()}, secret=secret)


def _basic(client_id: str, secret: Secret) -> Proof:
    """client_secret_basic: id and secret travel as HTTP Basic credentials (RFC 6749, section 2.3.1)."""
    # Both are form-urlencoded before they are joined: a colon in the id would end it, and RFC 6749 asks for it.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    basic = "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
    return Proof(headers={"Authorization": basic}, secret=secret)


_SECRET_METHODS: Final[Mapping[str, Callable[[str, Secret], Proof]]] = {
    "client_secret_post": _post,
    "client_secret_basic": _basic,
}
METHODS: Final = (*_SECRET_METHODS, "private_key_jwt", "tls_client_auth")
"""What `auth` of an issuer may be."""


def authentication(options: EndpointOptions, credentials: ClientCredentials, clock: Clock) -> ClientAuthentication:
    """The client's way to prove itself at this issuer. Raises ValueError: it is unknown, or the client lacks for it."""
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
                "auth 'tls_client_auth' needs an https:// token_url: without TLS nobody sees a certificate"
            )
        return _ByCertificate(client_id, credentials.certificate)
    if options.auth not in _SECRET_METHODS:
        raise ValueError(f"auth '{options.auth}' is not known: use one of {', '.join(METHODS)}")
    if credentials.client_secret is None and credentials.client_secrets is None:
        raise ValueError(f"auth '{options.auth}' needs a client secret")
    return _BySecret(client_id, SecretsInOrder(credentials.secrets), _SECRET_METHODS[options.auth])
