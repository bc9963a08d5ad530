"""Names from client certificates: the URI SAN, and nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from mintonce_server.core.caller import CallerKind
from mintonce_server.core.errors import Unauthenticated
from mintonce_server.identity.certificate import caller_of_certificate
from support.certificates import DAY, NOW, Authority

ID = "spiffe://prod.example.com/ns/pay/sa/billing"
DOMAINS = frozenset({"prod.example.com"})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


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
    """Looked at anew with each call: connections outlive certificates."""
    pem = authority.caller(ID).pem
    for moment in (NOW - 2 * DAY, NOW + DAY + timedelta(seconds=1)):
        with pytest.raises(Unauthenticated, match="not valid now"):
            caller_of_certificate(pem, DOMAINS, moment.timestamp())
    assert caller_of_certificate(pem, DOMAINS, NOW.timestamp())


def test_an_authority_is_no_caller(authority: Authority) -> None:
    """X.509-SVID, section 4.1: a leaf has CA false."""
    with pytest.raises(Unauthenticated, match="authority"):
        caller_of_certificate(authority.issue("sub", uris=[ID], authority=True).pem, DOMAINS, NOW.timestamp())


@pytest.mark.parametrize("pem", [b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_rubbish_is_refused(pem: bytes) -> None:
    """By the same error."""
    with pytest.raises(Unauthenticated):
        caller_of_certificate(pem, DOMAINS, 0.0)


def test_without_trust_domains_nobody_is_known(authority: Authority, tmp_path: Path) -> None:
    """An empty list means nobody, not everybody."""
    with pytest.raises(Unauthenticated):
        caller_of_certificate(authority.caller(ID).pem, frozenset(), NOW.timestamp())
