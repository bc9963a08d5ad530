"""A connection outlives the trust in the authority that signed for its caller."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mintonce_server.auth.authorities import Authorities
from mintonce_server.core.errors import Unauthenticated
from support.certificates import Authority

NOW = dt.datetime.now(dt.UTC)
CALLER = "spiffe://prod.example.com/ns/pay/sa/billing"


class Trust:
    """Which authorities are trusted; changes as a test wants."""

    def __init__(self, *authorities: Authority) -> None:
        self.now(*authorities)

    def now(self, *authorities: Authority) -> None:
        self.pem = b"".join(authority.ca.read_bytes() for authority in authorities)

    def __call__(self) -> bytes:
        return self.pem


def test_a_certificate_of_an_authority_that_was_removed_counts_no_more(tmp_path: Path) -> None:
    """That of the other one goes on; and both do when the first comes back."""
    one, two = Authority(tmp_path, "one"), Authority(tmp_path, "two")
    first, second = one.caller(CALLER, "a").pem, two.caller(CALLER, "b").pem
    trust = Trust(one, two)
    authorities = Authorities(trust)
    for certificate in (first, second):
        authorities.check(certificate, b"")

    trust.now(two)
    for _ in range(2):  # what was found out is remembered
        with pytest.raises(Unauthenticated, match="no longer trusted") as caught:
            authorities.check(first, b"")
        assert "client_ca_file" in caught.value.remedy
        authorities.check(second, b"")

    trust.now(one, two)
    authorities.check(first, b"")


def test_while_no_authority_was_removed_tls_has_the_last_word(tmp_path: Path) -> None:
    """It knows more ways to trust than we do."""
    one, two = Authority(tmp_path, "one"), Authority(tmp_path, "two")
    trust = Trust(one)
    authorities = Authorities(trust)
    odd = two.caller(CALLER).pem
    authorities.check(odd, b"")
    trust.now(one, two)
    authorities.check(odd, b"")
    authorities.check(b"not a certificate", b"nor a chain")


def test_an_authority_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    """Signatures count, not names."""
    (tmp_path / "new").mkdir()
    old, new = Authority(tmp_path, "ca"), Authority(tmp_path / "new", "ca")
    trust = Trust(old)
    authorities = Authorities(trust)
    certificate = old.caller(CALLER).pem
    trust.now(new)
    with pytest.raises(Unauthenticated):
        authorities.check(certificate, b"")
    for broken in (b"", b"rubbish", certificate[:100]):
        with pytest.raises(Unauthenticated):
            authorities.check(broken, certificate)


def test_certificates_between_the_caller_s_and_an_authority_are_followed(tmp_path: Path) -> None:
    """As the caller showed them; in any order, beside others, and in a circle."""
    root = _Signer("root")
    middle = root.signs("middle")
    lower = middle.signs("lower")
    leaf, other = lower.signs("leaf"), _Signer("other")
    trust = [root.pem + other.pem]
    authorities = Authorities(lambda: trust[0])

    trust[0] = root.pem
    chain = lower.pem + other.pem + middle.pem + lower.pem
    authorities.check(leaf.pem, chain)
    with pytest.raises(Unauthenticated):
        authorities.check(leaf.pem, lower.pem)

    trust[0] = other.pem
    with pytest.raises(Unauthenticated):
        authorities.check(leaf.pem, chain)


class _Signer:
    """A certificate with its key."""

    def __init__(self, name: str, issuer: "_Signer | None" = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = issuer or self
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._subject)
            .issuer_name(by._subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=1))
            .sign(by._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)

    def signs(self, name: str) -> "_Signer":
        return _Signer(name, self)
