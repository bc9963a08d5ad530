"""The store's TLS files: which one cannot be used, and why."""

import ssl
from pathlib import Path

import pytest

from mintonce_server.common.redis_url import parse_redis_url
from mintonce_server.store.topology.tls import TlsFileFault, tls_context_of
from support.certificates import Authority, Issued

TARGET = parse_redis_url("rediss://127.0.0.1:6379/0")


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def shown(ours: Authority) -> Issued:
    return ours.issue("client")


@pytest.mark.parametrize("kind", ["empty", "blank", "garbage", "half", "whole and half"])
def test_authorities_of_no_use(ours: Authority, shown: Issued, kind: str) -> None:
    """The system's CAs are never used instead; the key is not mentioned."""
    whole = ours.ca.read_bytes()
    data = {
        "empty": b"",
        "blank": b"\n",
        "garbage": b"\xff\xfe no certificate",
        "half": whole[:200],
        "whole and half": whole + whole[:-30],
    }[kind]
    files = {"ssl_ca_certs": data, "ssl_certfile": shown.pem, "ssl_keyfile": shown.key.read_bytes()}
    with pytest.raises(TlsFileFault) as caught:
        tls_context_of(TARGET, files)
    error = caught.value
    assert error.option == "ssl_ca_certs"
    assert error.what == ("is empty" if kind in ("empty", "blank") else "holds no complete certificates in PEM")
    assert "key" not in error.remedy
    assert not error.is_pair


@pytest.mark.parametrize(
    ("certificate", "key", "option", "what"),
    [
        ("garbage", "own", "ssl_certfile", "holds no complete certificates in PEM"),
        ("", "own", "ssl_certfile", "is empty"),
        ("own", "garbage", "ssl_keyfile", "holds no complete key in PEM without a password"),
        ("own", "", "ssl_keyfile", "holds no complete key in PEM without a password"),
        ("own", None, "ssl_certfile", "holds no complete key in PEM without a password"),
        ("own", "other", "ssl_keyfile", "holds a key that does not belong to the certificate"),
    ],
)
def test_a_certificate_of_ours_of_no_use(
    ours: Authority, shown: Issued, certificate: str, key: str | None, option: str, what: str
) -> None:
    """Only a mismatched pair may be corrected by the other file."""
    other = ours.issue("other").key.read_bytes()
    files = {"ssl_ca_certs": ours.ca.read_bytes()}
    files["ssl_certfile"] = {"own": shown.pem}.get(certificate, certificate.encode())
    if key is not None:
        files["ssl_keyfile"] = {"own": shown.key.read_bytes(), "other": other}.get(key, key.encode())
    with pytest.raises(TlsFileFault) as caught:
        tls_context_of(TARGET, files)
    assert (caught.value.option, caught.value.what) == (option, what)
    assert caught.value.is_pair is (key == "other")


def test_files_that_fit(ours: Authority, shown: Issued) -> None:
    """Only the CAs in the file are trusted."""
    files = {
        "ssl_ca_certs": ours.ca.read_bytes(),
        "ssl_certfile": shown.pem,
        "ssl_keyfile": shown.key.read_bytes(),
    }
    context = tls_context_of(TARGET, files)
    assert context.cert_store_stats()["x509"] == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
