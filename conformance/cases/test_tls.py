"""TLS: who the server is, who the client is, and files that change meanwhile."""

import re
import tempfile
from pathlib import Path
from time import sleep

import pytest

from conformance.harness.kit import BUSY, Serve, Start, needs
from conformance.harness.testee import Testee
from conformance.servers.files import TRADITIONAL, Authority, replace
from conformance.servers.scripted import FIRST, KEY, Scripted, unix_address

LOOKED_AGAIN = 1.2
"""Seconds after which the next call looks at the files."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def mutual(serve: Serve, authority: Authority) -> Scripted:
    """A server that wants a certificate."""
    authority.give_client("orders")
    return serve(credentials=authority.server(mutual=True))


def test_case_27_the_certificate_arrives(testee: Testee, mutual: Scripted, authority: Authority) -> None:
    """With each call."""
    testee.call("open", source="s", **KEY, target=mutual.target, tls=authority.tls(mutual=True))
    mutual.wait_for_watches()
    assert {call.common_name for call in mutual.calls} == {"orders"}


def test_case_27_certificate_and_key_in_one_file(testee: Testee, mutual: Scripted, authority: Authority) -> None:
    """The key's own file is optional."""
    tls = {"ca_file": authority.ca_file, "certificate_file": authority.both_file}
    testee.call("open", source="s", **KEY, target=mutual.target, tls=tls)
    assert mutual.calls[0].common_name == "orders"


@pytest.mark.parametrize("kind", ["pkcs1", "sec1", "pkcs8-rsa"])
def test_case_27_keys_of_each_kind(testee: Testee, mutual: Scripted, authority: Authority, kind: str) -> None:
    """PKCS#8 everywhere. The older forms work, or the error has the command that converts them."""
    if kind == "pkcs8-rsa":
        authority.give_client("orders", rsa=True)
    else:
        authority.give_client("orders", TRADITIONAL, rsa=kind == "pkcs1")
    opening = testee.start("open", source="s", **KEY, target=mutual.target, tls=authority.tls(mutual=True))
    if kind == "pkcs8-rsa" or f"keys:{kind}" in testee.features:
        assert opening.result()["generation"] == FIRST
        return
    failed = opening.failure()
    assert (failed.kind, failed.reason) == ("Refused", "CREDENTIALS")
    assert "openssl pkcs8 -topk8 -nocrypt -in" in failed.remedy + failed.message


def test_case_27_a_wrong_authority(testee: Testee, mutual: Scripted, tmp_path: Path) -> None:
    """Soon, and it says what is wrong."""
    other = Authority(tmp_path / "other")
    opening = testee.start("open", source="s", **KEY, target=mutual.target, tls=other.tls())
    failed = opening.failure()
    assert (failed.kind, failed.reason) == ("Unreachable", "UNREACHABLE")
    assert says("certificate", failed.message + failed.remedy)
    assert opening.took < BUSY
    assert mutual.calls == []


def test_case_27_the_hosts_authorities_do_not_know_ours(testee: Testee, mutual: Scripted) -> None:
    """`tls: true` is no way round a check."""
    failed = testee.fails("open", source="s", **KEY, target=mutual.target, tls=True)
    assert failed.kind == "Unreachable"
    assert mutual.calls == []


def test_case_27_a_server_of_another_name(testee: Testee, serve: Serve, authority: Authority) -> None:
    """Refused, unless the client was told that name."""
    server = serve(credentials=authority.server("mintonce.test"))
    failed = testee.fails("open", source="s", **KEY, target=server.target, tls=authority.tls())
    assert failed.kind == "Unreachable"
    assert says("name|certificate", failed.message + failed.remedy)
    tls = authority.tls(server_name="mintonce.test")
    assert testee.call("open", source="t", **KEY, target=server.target, tls=tls)["generation"] == FIRST


def test_case_27_without_a_certificate(testee: Testee, mutual: Scripted, authority: Authority) -> None:
    """The server hangs up: the remedy says what may be missing."""
    failed = testee.fails("open", source="s", **KEY, target=mutual.target, tls=authority.tls())
    assert failed.kind == "Unreachable"
    assert says("certificate", failed.message + failed.remedy)


def test_case_27_in_clear_to_tls(testee: Testee, mutual: Scripted) -> None:
    """The remedy is about TLS."""
    failed = testee.fails("open", source="s", **KEY, target=mutual.target)
    assert failed.kind == "Unreachable"
    assert says("TLS", failed.message + failed.remedy)


def test_case_27_tls_to_clear(testee: Testee, server: Scripted, authority: Authority) -> None:
    """Likewise."""
    failed = testee.fails("open", source="s", **KEY, target=server.target, tls=authority.tls())
    assert failed.kind == "Unreachable"
    assert says("TLS", failed.message + failed.remedy)


@pytest.mark.parametrize("fault", ["missing", "empty", "no PEM", "another key"])
def test_case_27_files_that_cannot_be_used(
    testee: Testee, mutual: Scripted, authority: Authority, tmp_path: Path, fault: str
) -> None:
    """Before any connection, by the file's name, without its content."""
    key = authority.key_file
    if fault == "missing":
        key.unlink()
    else:
        other = Authority(tmp_path / "other").issue("x").key
        key.write_bytes({"empty": b"", "no PEM": b"canary-of-a-key", "another key": other}[fault])
    failed = testee.fails("open", source="s", **KEY, target=mutual.target, tls=authority.tls(mutual=True))
    assert (failed.kind, failed.reason) == ("Refused", "CREDENTIALS")
    assert str(key) in failed.message + failed.remedy
    assert "canary-of" not in failed.message + failed.remedy
    assert mutual.calls == []


def test_case_28_replaced_certificates(testee: Testee, mutual: Scripted, authority: Authority) -> None:
    """The next call shows the new one; a watch under way goes on."""
    testee.call("client_open", conn="c", target=mutual.target, tls=authority.tls(mutual=True))
    testee.call("open", source="s", **KEY, via="c")
    mutual.wait_for_watches()
    authority.give_client("orders-2")
    sleep(LOOKED_AGAIN)
    testee.call("client_get", conn="c", **KEY)
    testee.call("client_get", conn="c", **KEY)
    assert [call.common_name for call in mutual.calls_of("GetToken")] == ["orders", "orders-2", "orders-2"]
    successor = mutual.publish()
    assert testee.call("updated", source="s", than=FIRST, timeout_ms=5000)["sha256"] == successor.sha256
    assert mutual.count("WatchToken") == 1


def test_case_28_a_broken_file_keeps_the_old(start: Start, mutual: Scripted, authority: Authority) -> None:
    """And one warning says so."""
    testee = start({})
    testee.call("client_open", conn="c", target=mutual.target, tls=authority.tls(mutual=True))
    testee.call("client_get", conn="c", **KEY)
    replace(authority.certificate_file, b"canary-of-a-file")
    for _ in range(3):
        sleep(LOOKED_AGAIN)
        assert testee.call("client_get", conn="c", **KEY)["generation"] == FIRST
    warnings = testee.call("logs")["warnings"]
    assert len(warnings) == 1, warnings
    assert str(authority.certificate_file) in warnings[0]
    assert "canary-of" not in warnings[0]
    authority.give_client("orders-3")
    sleep(LOOKED_AGAIN)
    testee.call("client_get", conn="c", **KEY)
    assert mutual.calls[-1].common_name == "orders-3"


def test_case_28_a_replaced_authority(testee: Testee, mutual: Scripted, authority: Authority, tmp_path: Path) -> None:
    """A server that has moved to another CA is reached as soon as the file knows it."""
    testee.call("client_open", conn="c", target=mutual.target, tls=authority.tls(mutual=True))
    testee.call("client_get", conn="c", **KEY)
    mutual.stop()
    other = Authority(tmp_path / "other")
    mutual.credentials = other.server()
    mutual.start()
    replace(authority.ca_file, other.ca)
    sleep(LOOKED_AGAIN)
    assert testee.call("client_get", conn="c", **KEY)["generation"] == FIRST


def test_case_36_a_unix_socket(testee: Testee, serve: Serve) -> None:
    """As host:port."""
    needs(testee, "unix")
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets' names are
        server = serve(unix_address(Path(folder)))
        testee.call("open", source="s", **KEY, target=server.target)
        server.wait_for_watches()
        successor = server.publish()
        assert testee.call("updated", source="s", than=FIRST, timeout_ms=5000)["sha256"] == successor.sha256
        testee.call("close", source="s")
        server.stop()


def test_a_dns_target(testee: Testee, server: Scripted) -> None:
    """gRPC's own form of host:port."""
    token = testee.call("open", source="s", **KEY, target=f"dns:///localhost:{server.port}")
    assert token["generation"] == FIRST


def says(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
