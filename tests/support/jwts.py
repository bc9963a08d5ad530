"""JWTs of every kind, good and bad, and the keys that sign them."""

import base64
import hmac
import json
import warnings
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeyParameters, OKPKey, RSAKey

ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "mintonce"
SUBJECT = "system:serviceaccount:pay:billing"


class Signer:
    """A key with its id, and what it signs."""

    def __init__(self, kid: str = "one", algorithm: str = "RS256") -> None:
        self.algorithm = algorithm
        self.key = _private(algorithm, kid)

    def jwks(self, *others: "Signer") -> bytes:
        """The public parts, as an issuer shows them."""
        keys = [signer.key.as_dict(private=False) for signer in (self, *others)]
        return json.dumps({"keys": keys}).encode()

    def token(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Signed. `header` adds to the usual header, or (None) takes from it."""
        full = {"alg": self.algorithm, "kid": self.key.kid, "typ": "JWT", **header}
        full = {name: value for name, value in full.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[self.algorithm], strict_check_header=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has a new name that is not in use yet
            return jws.serialize_compact(full, json.dumps(claims), self.key, registry=registry)


def claims(now: float, **changes: Any) -> dict[str, Any]:
    """Of a projected service-account token; None takes a claim away."""
    full = {
        "iss": ISSUER, "aud": [AUDIENCE], "sub": SUBJECT,
        "iat": int(now) - 10, "nbf": int(now) - 10, "exp": int(now) + 600,
        **changes,
    }  # fmt: skip
    return {name: value for name, value in full.items() if value is not None}


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """Put together by hand."""
    return ".".join((encoded(json.dumps(header).encode()), encoded(json.dumps(claims).encode()), encoded(signature)))


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_with_public_key(signer: Signer, claims: Mapping[str, Any]) -> str:
    """HS256 with the issuer's public key, which everybody knows, as the secret."""
    secret = signer.key.as_pem(private=False)
    start = unsigned({"alg": "HS256", "kid": signer.key.kid}, claims).rpartition(".")[0]
    return f"{start}.{encoded(hmac.digest(secret, start.encode(), 'sha256'))}"


def _private(algorithm: str, kid: str) -> RSAKey | ECKey | OKPKey:
    parameters: KeyParameters = {"kid": kid}
    if algorithm[:2] in ("RS", "PS"):
        return RSAKey.import_key(_pem(rsa.generate_private_key(65537, 2048)), parameters)
    if algorithm.startswith("ES"):
        return ECKey.import_key(_pem(ec.generate_private_key(ec.SECP256R1())), parameters)
    return OKPKey.import_key(_pem(ed25519.Ed25519PrivateKey.generate()), parameters)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
