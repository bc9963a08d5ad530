"""Keys that clients sign with, made for a test."""

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey

CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def private_key(algorithm: str) -> PrivateKey:
    """A new one that the algorithm signs with."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: PrivateKey) -> bytes:
    """As a file would have it (PKCS#8)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwk(key: PrivateKey, *, private: bool = False) -> dict[str, object]:
    """As a JWK (RFC 7517); the public half, unless said otherwise."""
    if isinstance(key, rsa.RSAPrivateKey):
        return dict(RSAKey.import_key(key).as_dict(private=private))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return dict(ECKey.import_key(key).as_dict(private=private))
    return dict(OKPKey.import_key(key).as_dict(private=private))
