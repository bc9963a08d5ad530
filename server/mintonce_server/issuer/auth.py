"""How a client authenticates at the issuer (RFC 6749, section 2.3; RFC 7523, section 2.2; RFC 8705, section 2)."""

import base64
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import IssuerRefused
from mintonce_server.core.secret import Secret
from mintonce_server.core.text import printable
from mintonce_server.issuer.certificate import ClientCertificate
from mintonce_server.issuer.metadata import Metadata
from mintonce_server.issuer.options import AS_ISSUER, BasicEncoding, ClientCredentials, EndpointOptions
from mintonce_server.issuer.refusal import REFUSED_FOR
from mintonce_server.issuer.signing import SigningKey, assertion_by_secret

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523, section 2.2."""

_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class ClientProof:
    """What authentication adds to one request. Secret, so its repr shows nothing. `secret`: the one that was used."""

    parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    secret: Secret | None = field(default=None, repr=False)

    def secret_texts(self) -> Iterator[str]:
        """What must not be repeated if the issuer says it back."""
        if self.secret is not None:
            yield self.secret.reveal()
        if assertion := self.parameters.get("client_assertion"):
            yield assertion
        if header := self.headers.get("Authorization"):
            yield header.partition(" ")[2]  # id and secret in base64


class ClientAuthentication(Protocol):
    """How one client authenticates."""

    def proofs(self, metadata: Metadata) -> Sequence[ClientProof]:
        """For one mint: the proof to send, and at most one more to send if the issuer refuses the first.

        Raises NotSupported if the issuer's metadata excludes the method or the algorithm that the settings demand.
        """
        ...

    def worked(self, proof: ClientProof) -> None:
        """The issuer accepted this proof: it comes first from now on."""
        ...

    def secret_texts(self) -> Iterator[str]:
        """All secrets of the client that were read last, also those that were not sent."""
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
        self.known: Sequence[Secret] = ()
        """Those that were read last."""
        self._worked: Secret | None = None

    def in_order(self) -> Sequence[Secret]:
        """One or two, best first."""
        secrets = tuple(dict.fromkeys(self._source()))[:MAX_SECRETS]
        if secrets != self.known:
            self.known, self._worked = secrets, None
        return sorted(secrets, key=lambda secret: secret != self._worked)  # stable: the others keep their order

    def worked(self, secret: Secret) -> None:
        """The issuer accepted it. Forgotten when the secrets change: then the newest comes first again."""
        if secret in self.known:
            self._worked = secret


class NotSupported(IssuerRefused):
    """The issuer's metadata says that it does not support what the settings demand. Nothing was sent."""

    def __init__(self, host: str, what: str, listed: Collection[str], remedy: str) -> None:
        names = printable(", ".join(sorted(listed)), 200)
        what = f"the metadata of {host} does not list {what}, only {names}"
        super().__init__(what, remedy=remedy, retry_after=REFUSED_FOR)


@dataclass(frozen=True, slots=True)
class _BySecret:
    client_id: str
    secrets: SecretsInOrder
    options: EndpointOptions
    hmac_algorithm: str
    certificate: Callable[[], ClientCertificate] | None
    clock: Clock

    def proofs(self, metadata: Metadata) -> Sequence[ClientProof]:
        method = _method(self.options, metadata)
        return [self._proof(method, secret, metadata) for secret in self.secrets.in_order()]

    def _proof(self, method: str, secret: Secret, metadata: Metadata) -> ClientProof:
        if method == "client_secret_basic":
            return _basic(self.client_id, secret, self.options.basic_encoding)
        if method == "client_secret_post":
            return ClientProof({"client_id": self.client_id, "client_secret": secret.reveal()}, secret=secret)
        _check_algorithm(self.hmac_algorithm, self.options, metadata)
        audience = _assertion_audience(self.options, metadata)
        assertion = assertion_by_secret(secret, self.hmac_algorithm, self.client_id, audience, self.clock.unix())
        return ClientProof(_by_assertion(self.client_id, assertion), secret=secret)

    def worked(self, proof: ClientProof) -> None:
        if proof.secret is not None:
            self.secrets.worked(proof.secret)

    def secret_texts(self) -> Iterator[str]:
        for secret in self.secrets.known:
            text = secret.reveal()
            yield text
            yield f"{self.client_id}:{text}"

    def fingerprint(self) -> str:
        return _digest(*sorted(secret.sha256() for secret in self.secrets.in_order()), *_chain(self.certificate))


@dataclass(frozen=True, slots=True)
class _ByAssertion:
    """private_key_jwt: each request has its own assertion, so that none can be replayed."""

    client_id: str
    key: Callable[[], SigningKey]
    options: EndpointOptions
    certificate: Callable[[], ClientCertificate] | None
    clock: Clock

    def proofs(self, metadata: Metadata) -> Sequence[ClientProof]:
        _method(self.options, metadata)
        key = self.key().for_issuer(metadata.algorithms)
        _check_algorithm(key.algorithm, self.options, metadata)
        audience = _assertion_audience(self.options, metadata)
        return [ClientProof(_by_assertion(self.client_id, key.assertion(self.client_id, audience, self.clock.unix())))]

    def worked(self, proof: ClientProof) -> None:
        pass

    def secret_texts(self) -> Iterator[str]:
        return iter(())

    def fingerprint(self) -> str:
        key = self.key()
        parts = (key.thumbprint(), key.key_id or "", key.algorithm, *sorted(key.certificate.values()))
        return _digest(*(part.encode() for part in parts), *_chain(self.certificate))


@dataclass(frozen=True, slots=True)
class _ByCertificate:
    """tls_client_auth: the connection authenticates the client, the body only names it (RFC 8705, section 2)."""

    client_id: str
    certificate: Callable[[], ClientCertificate]
    options: EndpointOptions

    def proofs(self, metadata: Metadata) -> Sequence[ClientProof]:
        _method(self.options, metadata)
        return [ClientProof(parameters={"client_id": self.client_id})]

    def worked(self, proof: ClientProof) -> None:
        pass

    def secret_texts(self) -> Iterator[str]:
        return iter(())

    def fingerprint(self) -> str:
        return _digest(self.certificate().chain_pem)


def _chain(certificate: Callable[[], ClientCertificate] | None) -> tuple[bytes, ...]:
    """Part of the fingerprint if it is presented besides another proof."""
    return () if certificate is None else (certificate().chain_pem,)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _basic(client_id: str, secret: Secret, encoding: BasicEncoding) -> ClientProof:
    """Id and secret as HTTP Basic credentials (RFC 6749, section 2.3.1)."""
    # RFC 6749 requires form-encoding before they are joined: a colon in the id would end it. A space is %20, not +,
    # because every server decodes that. Some servers decode nothing.
    parts = (client_id, secret.reveal())
    pair = ":".join((quote(part, safe="") for part in parts) if encoding == "form" else parts)
    basic = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return ClientProof(headers={"Authorization": basic}, secret=secret)


def _by_assertion(client_id: str, assertion: str) -> Mapping[str, str]:
    # client_id is optional here (RFC 7523, section 3), but some issuers look up the client by it.
    return {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


_BY_SECRET: Final = ("client_secret_post", "client_secret_basic", "client_secret_jwt")
METHODS: Final = (*_BY_SECRET, "private_key_jwt", "tls_client_auth")
"""The values of an issuer's `auth`."""

_SAME: Final[Mapping[str, str]] = {"self_signed_tls_client_auth": "tls_client_auth"}
"""Methods of metadata that mean the same for a client (RFC 8705, section 2.2)."""


def _method(options: EndpointOptions, metadata: Metadata) -> str:
    """The method to use. Raises NotSupported."""
    listed = {_SAME.get(name, name) for name in metadata.methods}
    if not listed or options.auth in listed:
        return options.auth
    if not options.auth_is_fixed and "client_secret_basic" in listed:
        return "client_secret_basic"
    known = [name for name in METHODS if name in listed]
    remedy = (
        f"Set the issuer's auth to one of {', '.join(known)}; or set token_url instead of `issuer`."
        if known
        else ("Set token_url instead of `issuer`, if the metadata is wrong: Mintonce supports none of these methods.")
    )
    raise NotSupported(options.host, f"the method {options.auth}", metadata.methods, remedy)


def _check_algorithm(algorithm: str, options: EndpointOptions, metadata: Metadata) -> None:
    if metadata.algorithms and algorithm not in metadata.algorithms:
        remedy = "Set the client's signing_algorithm to one of these, with a key for it."
        raise NotSupported(options.host, f"the algorithm {algorithm}", metadata.algorithms, remedy)


def _assertion_audience(options: EndpointOptions, metadata: Metadata) -> str:
    if options.assertion_audience == AS_ISSUER:
        return options.issuer or ""
    return options.assertion_audience or metadata.token_url


def authentication(options: EndpointOptions, credentials: ClientCredentials, clock: Clock) -> ClientAuthentication:
    """How the client authenticates at this issuer. Raises ValueError if the method is unknown or credentials lack."""
    client_id = credentials.client_id
    if options.auth == "private_key_jwt":
        if credentials.signing_key is None:
            raise ValueError("auth 'private_key_jwt' needs a signing key")
        return _ByAssertion(client_id, credentials.signing_key, options, credentials.certificate, clock)
    if options.auth == "tls_client_auth":
        if credentials.certificate is None:
            raise ValueError("auth 'tls_client_auth' needs a certificate")
        if not options.is_https:
            raise ValueError(
                "auth 'tls_client_auth' needs an https:// token_url: a certificate is only presented with TLS"
            )
        return _ByCertificate(client_id, credentials.certificate, options)
    if options.auth not in _BY_SECRET:
        raise ValueError(f"auth '{options.auth}' is not known: use one of {', '.join(METHODS)}")
    if credentials.client_secret is None and credentials.client_secrets is None:
        raise ValueError(f"auth '{options.auth}' needs a client secret")
    return _BySecret(
        client_id,
        SecretsInOrder(credentials.secrets),
        options,
        credentials.hmac_algorithm,
        credentials.certificate,
        clock,
    )
