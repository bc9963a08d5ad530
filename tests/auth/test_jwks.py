"""Sets of public keys, read strictly."""

import json
import traceback
import warnings
from contextlib import suppress
from typing import Any, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc.errors import SecurityWarning
from joserfc.jwk import RSAKey

from mintonce_server.auth.jwks import MAX_BYTES, MAX_KEYS, JwksError, parse_jwks
from support.jwts import Signer

SIGNER, CURVE = Signer("one"), Signer("curve", "ES256")
PUBLIC: dict[str, Any] = dict(SIGNER.key.as_dict(private=False))
PRIVATE: dict[str, Any] = dict(SIGNER.key.as_dict(private=True))


def keys(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def short() -> dict[str, Any]:
    """An RSA key of 1024 bits."""
    pem = (
        rsa.generate_private_key(65537, 1024).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # that is why it is refused
        return dict(RSAKey.import_key(pem, {"kid": "one"}).as_dict(private=False))


BAD: dict[str, bytes] = {
    "nothing": b"",
    "a list": b"[]",
    "a list for a kid": keys({**PUBLIC, "kid": ["one"]}),
    "a number of 5,000 digits": b'{"keys": [{"kty": "RSA", "n": ' + b"9" * 5_000 + b"}]}",
    "nested 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "no keys": b"{}",
    "an empty set": keys(),
    "a key that is no object": keys(PUBLIC, 1),
    "keys that are an object": b'{"keys": {"one": {}}}',
    "keys twice": b'{"keys": [], "keys": [' + json.dumps(PUBLIC).encode() + b"]}",
    "too deep": b'{"keys": ' + b"[" * 100_000,
    "too large": keys(PUBLIC) + b" " * MAX_BYTES,
    "too many": keys(*({**PUBLIC, "kid": str(number)} for number in range(MAX_KEYS + 1))),
    "a shared secret": keys(PUBLIC, {"kty": "oct", "k": "AAAA", "kid": "two"}),
    "a private key": keys(PRIVATE),
    "a private key for encryption": keys(PUBLIC, {**PRIVATE, "kid": "two", "use": "enc"}),
    "a prime of the key": keys({**PUBLIC, "p": "AQAB"}),
    "a key without its parts": keys({"kty": "RSA", "kid": "one"}),
    "a point that is none": keys({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
    "a kid that is a list": keys({**PUBLIC, "kid": ["one"]}),
    "two keys of one kid": keys(PUBLIC, PUBLIC),
    "a short RSA key": keys(short()),
    "only a key for encryption": keys({**PUBLIC, "use": "enc"}),
    "only a key for an algorithm of encryption": keys({**PUBLIC, "alg": "RSA-OAEP"}),
    "only a key for a shared algorithm": keys({**PUBLIC, "alg": "HS256"}),
    "only a key that does not verify": keys({**PUBLIC, "key_ops": ["encrypt"]}),
    "only a key of a curve for other ends": keys({"kty": "OKP", "crv": "X25519", "x": "A" * 43}),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_set_that_could_mislead_is_refused(kind: str) -> None:
    """As a whole, with a remedy, and without what is in it."""
    with pytest.raises(JwksError) as caught:
        parse_jwks(BAD[kind])

    assert caught.value.remedy
    assert caught.value.__context__ is None
    assert PRIVATE["d"] not in str(caught.value) + caught.value.remedy


def test_keys_for_other_ends_are_passed_over() -> None:
    """Many issuers show them in the same set (RFC 7517, section 5: what is not known is ignored)."""
    others = (
        {**PUBLIC, "kid": "enc", "use": "enc"},
        {"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AAAA"},
        {"kty": "EC", "kid": "coin", "crv": "secp256k1", "x": "AA", "y": "AA"},
    )
    found = parse_jwks(keys(*others, PUBLIC, CURVE.key.as_dict(private=False)))

    assert [key.kid for key in found] == ["one", "curve"]


values = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.lists(st.text(max_size=3), max_size=2)


@given(st.dictionaries(st.sampled_from([*PUBLIC, "use", "alg", "key_ops", "crv", "x", "y", "x5c", "x5t"]), values))
def test_no_key_breaks_anything(changes: dict[str, object]) -> None:
    """Whatever its parts are: it is read, or refused."""
    for public in (PUBLIC, CURVE.key.as_dict(private=False)):
        with suppress(JwksError):
            assert len(parse_jwks(keys({**public, **changes})).keys) == 1


@given(st.binary(max_size=300))
def test_no_document_breaks_anything(document: bytes) -> None:
    """Whatever the URL shows."""
    with pytest.raises(JwksError):
        parse_jwks(document)


def test_what_no_check_foresaw_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its type and its traceback, but without its text, which may quote the document."""

    text = "of the document"

    def fails(_: bytes) -> NoReturn:
        raise RuntimeError(text)

    monkeypatch.setattr("mintonce_server.auth.jwks._entries", fails)
    with pytest.raises(JwksError, match="RuntimeError") as caught:
        parse_jwks(keys(PUBLIC))
    assert text not in "".join(traceback.format_exception(caught.value))
