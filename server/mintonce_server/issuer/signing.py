"""Client assertions (RFC 7523): signed with a client's key for `private_key_jwt`, or with its secret."""

import base64
import json
import secrets
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import encode

from mintonce_server.core.secret import Secret

ASSERTION_LIFE: Final = 60
"""Seconds. Long enough for small clock differences, too short for a leaked assertion to be useful."""

RSA_BITS_MIN: Final = 2048
"""RFC 7518, sections 3.3 and 3.5."""

THUMBPRINT: Final = "thumbprint"
"""As a key id: the key's SHA-256 thumbprint (RFC 7638)."""

_OF_CURVES: Final[Mapping[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_RSA: Final = ("RS256", "PS256", "RS384", "RS512", "PS384", "PS512")
"""The usual one first, then what other issuers require."""

_NEEDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_RSA, f"an RSA key of at least {RSA_BITS_MIN} bits"),
    "ES256": "a key on the curve P-256",
    "ES384": "a key on the curve P-384",
    "ES512": "a key on the curve P-521",
    "EdDSA": "an Ed25519 key",
}
SIGNING_ALGORITHMS: Final = tuple(_NEEDS)

_Key = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the algorithm that it signs with. Made by `load_signing_key`.

    Attributes:
        algorithm: that of the assertions, unless the issuer's metadata lists others that the key can sign with.
        key_id: `kid` of the assertions, or None.
        is_fixed: the algorithm was chosen by a setting.
        certificate: the thumbprints in the assertions' header, `x5t` and `x5t#S256` (RFC 7515, section 4.1.7).
    """

    algorithm: str
    key_id: str | None
    _key: _Key = field(repr=False, compare=False)
    is_fixed: bool = True
    certificate: Mapping[str, str] = field(default_factory=dict[str, str])

    def for_issuer(self, accepted: Collection[str]) -> "SigningKey":
        """This key with an algorithm that the issuer accepts; unchanged if there is none, or if it is fixed.

        `accepted`: the algorithms in the issuer's metadata; empty if it lists none.
        """
        if self.is_fixed or not accepted or self.algorithm in accepted:
            return self
        other = next((name for name in _algorithms_of(self._key) if name in accepted), self.algorithm)
        return replace(self, algorithm=other)

    def thumbprint(self) -> str:
        """The key's thumbprint (RFC 7638). It identifies the key and is not secret."""
        return self._key.thumbprint()

    def assertion(self, client_id: str, audience: str, now_unix: float) -> str:
        """A client assertion for one request (RFC 7523, section 3). It is secret until it expires.

        It has no `nbf`: an issuer whose clock is slightly behind would refuse it.
        """
        header = {"alg": self.algorithm} | ({"kid": self.key_id} if self.key_id else {}) | dict(self.certificate)
        return _signed(header, client_id, audience, now_unix, self._key)


def assertion_by_secret(secret: Secret, algorithm: str, client_id: str, audience: str, now_unix: float) -> str:
    """A client assertion whose key is the client's secret, for `client_secret_jwt`. It is secret until it expires."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # about a secret shorter than the digest: the issuer chose it
        key = OctKey.import_key(secret.reveal().encode())
    return _signed({"alg": algorithm}, client_id, audience, now_unix, key)


def _signed(header: dict[str, str], client_id: str, audience: str, now_unix: float, key: _Key | OctKey) -> str:
    issued = int(now_unix)
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(24),
        "iat": issued,
        "exp": issued + ASSERTION_LIFE,
    }
    with warnings.catch_warnings():
        # RFC 9864 renames EdDSA to Ed25519, and joserfc warns; issuers use the old name.
        warnings.simplefilter("ignore", SecurityWarning)
        return encode(header, claims, key, registry=JWSRegistry(algorithms=[header["alg"]]))


def load_signing_key(
    data: bytes, algorithm: str | None = None, key_id: str | None = None, certificate: bytes | None = None
) -> SigningKey:
    """Load a PEM key (PKCS#8, SEC 1 or PKCS#1, without a password) or a JWK (RFC 7517) from a file's bytes.

    `algorithm`: one of SIGNING_ALGORITHMS. None: the one that follows from the key; RS256 for an RSA key.
    `key_id`: the `kid` to send, or THUMBPRINT. None: the JWK's own `kid`, if it has one.
    `certificate`: PEM of the key's certificate, for issuers that look up the key by the certificate's thumbprint.
    Raises ValueError, whose text repeats no byte of the key.
    """
    if algorithm is not None and algorithm not in _NEEDS:
        raise ValueError(f"signing algorithm '{algorithm}' is not known: use one of {', '.join(SIGNING_ALGORITHMS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # about weak keys, which are refused below
        key = _parsed(data)
    # Raised outside of the handler: the libraries' errors may quote the key, and must not become the context of ours.
    if key is None:
        raise ValueError("the signing key is neither a private key in PEM without a password nor a private JWK")
    fitting = _algorithms_of(key)
    if algorithm is None and not fitting:
        raise ValueError(f"no algorithm signs with this key: use {', '.join(dict.fromkeys(_NEEDS.values()))}")
    is_fixed = algorithm is not None
    algorithm = algorithm or fitting[0]
    if algorithm not in fitting:
        raise ValueError(f"{algorithm} needs {_NEEDS[algorithm]}")
    if key_id == THUMBPRINT:
        key_id = key.thumbprint()
    thumbprints = _thumbprints(certificate, key) if certificate is not None else {}
    return SigningKey(algorithm, key_id or key.kid, key, is_fixed, thumbprints)


def _thumbprints(pem: bytes, key: _Key) -> dict[str, str]:
    """`x5t` and `x5t#S256` of the certificate. Raises ValueError if it is not the key's."""
    try:
        certificate = load_pem_x509_certificate(pem)
    except ValueError:
        certificate = None
    if certificate is None:
        raise ValueError("signing_certificate_file is not a certificate in PEM")
    if certificate.public_key() != key.public_key:
        raise ValueError("the certificate in signing_certificate_file does not belong to the signing key")
    algorithms: dict[str, HashAlgorithm] = {"x5t": SHA1(), "x5t#S256": SHA256()}  # noqa: S303 - it names a certificate
    return {
        name: base64.urlsafe_b64encode(certificate.fingerprint(algorithm)).decode().rstrip("=")
        for name, algorithm in algorithms.items()
    }


def _parsed(data: bytes) -> _Key | None:
    try:
        if data.lstrip().startswith(b"{"):
            return _from_jwk(cast("object", json.loads(data)))
        private = load_pem_private_key(data, password=None)
        if isinstance(private, RSAPrivateKey):
            return RSAKey.import_key(private)
        if isinstance(private, EllipticCurvePrivateKey):
            return ECKey.import_key(private)
        return OKPKey.import_key(private) if isinstance(private, Ed25519PrivateKey) else None
    # What the libraries raise for malformed keys: RecursionError, for example, for nested JSON.
    except (ValueError, TypeError, KeyError, RecursionError, JoseError):
        return None


def _from_jwk(fields: object) -> _Key | None:
    if not isinstance(fields, dict):
        return None
    texts = {name: text for name, text in cast("dict[str, object]", fields).items() if isinstance(text, str)}
    kinds: dict[str, type[_Key]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    kind = kinds.get(texts.get("kty", ""))
    key = kind.import_key(dict(texts)) if kind else None
    return key if key is not None and key.is_private else None


def _algorithms_of(key: _Key) -> Sequence[str]:
    """The algorithms that may sign with the key, the usual one first."""
    private = key.private_key
    if isinstance(private, RSAPrivateKey):
        return _RSA if private.key_size >= RSA_BITS_MIN else ()
    if isinstance(private, EllipticCurvePrivateKey):
        return (_OF_CURVES[private.curve.name],) if private.curve.name in _OF_CURVES else ()
    return ("EdDSA",) if isinstance(private, Ed25519PrivateKey) else ()
