"""Names from client certificates: the URI SAN, and nothing else."""

import base64
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from hypothesis import example, given
from hypothesis import strategies as st

from mintonce_server.auth.certificate import caller_of_certificate
from mintonce_server.core.caller import CallerKind
from mintonce_server.core.errors import Unauthenticated
from support.certificates import DAY, NOW, Authority

ID = "spiffe://prod.example.com/ns/pay/sa/billing"
DOMAINS = frozenset({"prod.example.com"})
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def whole(authority: Authority) -> bytes:
    """A good certificate, as DER."""
    return x509.load_pem_x509_certificate(authority.caller(ID).pem).public_bytes(Encoding.DER)


def test_the_uri_is_the_name(authority: Authority) -> None:
    """Until the certificate ends."""
    caller = caller_of_certificate(authority.caller(ID).pem, DOMAINS, NOW.timestamp())

    assert (caller.name, caller.kind) == (ID, CallerKind.CERTIFICATE)
    assert caller.valid_until == int((NOW + DAY).timestamp())


def test_other_names_beside_it_do_not_count(authority: Authority) -> None:
    """Many certificates have DNS names, too."""
    issued = authority.issue("spiffe:prod.example.com:admin", uris=[ID], dns=["pay.example.com"])

    assert caller_of_certificate(issued.pem, DOMAINS, NOW.timestamp()).name == ID


@pytest.mark.parametrize(
    ("uris", "dns"),
    [
        pytest.param([], [], id="no SAN, only a common name"),
        pytest.param([], ["spiffe://prod.example.com/ns/pay/sa/billing"], id="a DNS name that looks like an id"),
        pytest.param([ID, "spiffe://prod.example.com/other"], [], id="two URIs"),
        pytest.param([ID, "https://prod.example.com/"], [], id="two URIs, one of them a SPIFFE ID"),
        pytest.param(["https://prod.example.com/ns/pay"], [], id="another scheme"),
        pytest.param(["spiffe://prod.example.com"], [], id="a trust domain without a workload"),
        pytest.param(["spiffe://prod.example.com/"], [], id="an empty path"),
        pytest.param(["spiffe://prod.example.com/ns//sa"], [], id="an empty segment"),
        pytest.param(["spiffe://prod.example.com/ns/../admin"], [], id="a dot segment"),
        pytest.param(["spiffe://prod.example.com/ns/./admin"], [], id="another dot segment"),
        pytest.param(["spiffe://prod.example.com:443/ns/pay"], [], id="a port"),
        pytest.param(["spiffe://me@prod.example.com/ns/pay"], [], id="a user"),
        pytest.param(["spiffe://prod.example.com/ns/pay?x=1"], [], id="a query"),
        pytest.param(["spiffe://prod.example.com/ns/pay#x"], [], id="a fragment"),
        pytest.param(["spiffe://prod.example.com/ns%2Fpay"], [], id="percent-encoding"),
        pytest.param(["SPIFFE://prod.example.com/ns/pay"], [], id="capitals in the scheme"),
        pytest.param(["spiffe://PROD.example.com/ns/pay"], [], id="capitals in the trust domain"),
        pytest.param(["spiffe://prod.example.com/ns/pay\n"], [], id="a line break"),
        pytest.param(["spiffe://prod.example.com/" + "a" * 2048], [], id="too long"),
        pytest.param(["spiffe://test.example.com/ns/pay/sa/billing"], [], id="another trust domain"),
        pytest.param(["spiffe://prod.example.com.evil.com/ns/pay"], [], id="a trust domain that begins like ours"),
    ],
)
def test_a_spoofed_name_is_refused(authority: Authority, uris: list[str], dns: list[str]) -> None:
    """Whatever the certificate says elsewhere."""
    issued = authority.issue("spoof", uris=uris, dns=dns)

    with pytest.raises(Unauthenticated) as caught:
        caller_of_certificate(issued.pem, DOMAINS, NOW.timestamp())

    assert caught.value.remedy


def test_it_counts_between_its_two_dates(authority: Authority) -> None:
    """Checked again with each call: connections outlive certificates."""
    pem = authority.caller(ID).pem
    for moment in (NOW - 2 * DAY, NOW + DAY + timedelta(seconds=1)):
        with pytest.raises(Unauthenticated, match="not valid now"):
            caller_of_certificate(pem, DOMAINS, moment.timestamp())
    assert caller_of_certificate(pem, DOMAINS, NOW.timestamp()).name == ID


def test_an_authority_is_no_caller(authority: Authority) -> None:
    """X.509-SVID, section 4.1: a leaf has CA false."""
    with pytest.raises(Unauthenticated, match="authority"):
        caller_of_certificate(authority.issue("sub", uris=[ID], authority=True).pem, DOMAINS, NOW.timestamp())


@pytest.mark.parametrize("signs", ["key_cert_sign", "crl_sign"])
def test_who_may_sign_certificates_or_lists_is_no_caller(authority: Authority, signs: str) -> None:
    """X.509-SVID, section 4.3."""
    usage = x509.KeyUsage(**{**dict.fromkeys(USAGES, False), "digital_signature": True, signs: True})
    with pytest.raises(Unauthenticated, match="authority"):
        caller_of_certificate(authority.issue("sign", uris=[ID], more=[usage]).pem, DOMAINS, NOW.timestamp())


@pytest.mark.parametrize(
    ("uses", "good"),
    [
        ([Use.SERVER_AUTH, Use.CLIENT_AUTH], True),
        ([Use.ANY_EXTENDED_KEY_USAGE], True),
        ([Use.SERVER_AUTH], False),
        ([Use.CODE_SIGNING], False),
    ],
)
def test_a_certificate_that_says_what_it_is_for_is_for_clients(
    authority: Authority, uses: list[x509.ObjectIdentifier], good: bool
) -> None:
    """A server's certificate, stolen or lent, names no caller (RFC 5280, section 4.2.1.12)."""
    issued = authority.issue("use", uris=[ID], more=[x509.ExtendedKeyUsage(uses)])
    with nullcontext() if good else pytest.raises(Unauthenticated, match="not for clients"):
        assert caller_of_certificate(issued.pem, DOMAINS, NOW.timestamp()).name == ID


def test_a_kind_of_name_that_is_not_read_is_refused(authority: Authority) -> None:
    """An X.400 address as SAN: the library knows it and gives up, by an error of its own."""
    x400 = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3004a3023000"))
    with pytest.raises(Unauthenticated):
        caller_of_certificate(authority.issue("x400", more=[x400]).pem, DOMAINS, NOW.timestamp())


@example([(15, 128)])  # a serial number below zero, of which the library warns
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_certificate_breaks_nothing(whole: bytes, changes: list[tuple[int, int]]) -> None:
    """Whatever bytes of it are others: it names a known caller, or is refused."""
    der = bytearray(whole)
    for place, value in changes:
        der[place % len(der)] = value
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n".encode()
    with suppress(Unauthenticated):
        assert caller_of_certificate(pem, DOMAINS, NOW.timestamp()).name.startswith("spiffe://prod.example.com/")


@pytest.mark.parametrize("pem", [b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_rubbish_is_refused(pem: bytes) -> None:
    """By the same error."""
    with pytest.raises(Unauthenticated):
        caller_of_certificate(pem, DOMAINS, 0.0)


def test_without_trust_domains_no_caller_is_known(authority: Authority, tmp_path: Path) -> None:
    """An empty list means no caller, not every caller."""
    with pytest.raises(Unauthenticated):
        caller_of_certificate(authority.caller(ID).pem, frozenset(), NOW.timestamp())
