"""Bearer files: what is sent, and to whom never."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest

from conformance.harness.kit import BUSY, Serve, Start, needs
from conformance.harness.testee import Testee
from conformance.servers.files import Authority, bearer, replace
from conformance.servers.scripted import FIRST, KEY, Scripted, unix_address
from conformance.servers.trap import Trap, network_address

LOOKED_AGAIN = 1.2
ALONE = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""No client that tries an old port of another test again comes there by accident."""


@pytest.fixture
def file(tmp_path: Path, canaries: list[str]) -> Path:
    """A bearer in a file, with the newline that editors leave."""
    path = tmp_path / "bearer"
    canaries.append(bearer())
    path.write_text(f"{canaries[-1]}\n")
    return path


@pytest.fixture
def trap() -> Iterator[Trap]:
    with closing(Trap(ALONE)) as listening:
        yield listening


@pytest.mark.parametrize("option", ["bearer_file", "api_key_file"])
def test_case_29_it_goes_with_every_call(
    testee: Testee, server: Scripted, file: Path, canaries: list[str], option: str
) -> None:
    """Trimmed; on loopback also in clear."""
    testee.call("open", source="s", **KEY, target=server.target, **{option: file})
    server.wait_for_watches()
    testee.call("reject", source="s", generation=FIRST)
    assert {call.method for call in server.calls} == {"GetToken", "WatchToken", "RejectToken"}
    assert {call.authorization for call in server.calls} == {f"Bearer {canaries[0]}"}


def test_case_29_over_tls(testee: Testee, serve: Serve, file: Path, canaries: list[str], tmp_path: Path) -> None:
    """With any kind of TLS."""
    authority = Authority(tmp_path / "ours")
    server = serve(credentials=authority.server())
    testee.call("open", source="s", **KEY, target=server.target, tls=authority.tls(), bearer_file=file)
    assert server.calls[0].authorization == f"Bearer {canaries[0]}"


def test_case_29_over_a_unix_socket(testee: Testee, serve: Serve, file: Path, canaries: list[str]) -> None:
    """In clear: it does not leave this host."""
    needs(testee, "unix")
    with tempfile.TemporaryDirectory() as folder:
        server = serve(unix_address(Path(folder)))
        testee.call("open", source="s", **KEY, target=server.target, bearer_file=file)
        assert server.calls[0].authorization == f"Bearer {canaries[0]}"
        testee.call("close", source="s")
        server.stop()


def test_case_29_a_replaced_file(testee: Testee, server: Scripted, file: Path, canaries: list[str]) -> None:
    """The next call has the new one."""
    testee.call("client_open", conn="c", target=server.target, bearer_file=file)
    testee.call("client_get", conn="c", **KEY)
    canaries.append(bearer())
    replace(file, canaries[1].encode())
    sleep(LOOKED_AGAIN)
    testee.call("client_get", conn="c", **KEY)
    assert [call.authorization for call in server.calls] == [f"Bearer {each}" for each in canaries]


def test_case_29_a_broken_file_keeps_the_old(start: Start, server: Scripted, file: Path, canaries: list[str]) -> None:
    """And one warning says so, without its content."""
    testee = start({})
    testee.call("client_open", conn="c", target=server.target, bearer_file=file)
    canaries.append("canary two words")
    replace(file, canaries[1].encode())
    for _ in range(2):
        sleep(LOOKED_AGAIN)
        testee.call("client_get", conn="c", **KEY)
    assert {call.authorization for call in server.calls} == {f"Bearer {canaries[0]}"}
    warnings = testee.call("logs")["warnings"]
    assert len(warnings) == 1, warnings
    assert str(file) in warnings[0]


@pytest.mark.parametrize(
    "content", [b"", b"canary two words", b"canary\xc3\xa4", b"c" * 8200, b"canary\nin two lines"], ids=range(5)
)
def test_case_29_no_bearer(testee: Testee, server: Scripted, file: Path, content: bytes) -> None:
    """Before any call, by the file's name, without its content."""
    file.write_bytes(content)
    failed = testee.fails("open", source="s", **KEY, target=server.target, bearer_file=file)
    assert (failed.kind, failed.reason) == ("Refused", "CREDENTIALS")
    assert str(file) in failed.message
    assert "canary" not in failed.message + failed.remedy
    assert server.calls == []


@pytest.mark.parametrize("target", ["mintonce.example:443", "dns:///mintonce.example:443", "192.0.2.1:443"])
def test_case_29_never_in_clear_to_others(testee: Testee, file: Path, target: str) -> None:
    """An error before any traffic."""
    opening = testee.start("open", source="s", **KEY, target=target, bearer_file=file)
    failed = opening.failure()
    assert (failed.kind, failed.reason) == ("Refused", "CREDENTIALS")
    assert "TLS" in failed.remedy
    assert opening.took < BUSY


def test_case_29_not_a_packet(testee: Testee, file: Path) -> None:
    """By this host's own address in the network, where a listener counts."""
    address = network_address()
    if address is None:
        pytest.skip("this host is in no network")
    with closing(Trap(address)) as trap:
        failed = testee.fails("open", source="s", **KEY, target=trap.address, bearer_file=file)
        assert failed.reason == "CREDENTIALS"
        sleep(0.3)
        assert trap.visitors == 0


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"])
def test_case_29_no_proxy_for_loopback(
    start: Start, server: Scripted, file: Path, canaries: list[str], trap: Trap, variable: str
) -> None:
    """It would get the bearer in clear."""
    testee = start({variable: f"http://{trap.address}"})
    testee.call("open", source="s", **KEY, target=server.target, bearer_file=file)
    assert server.calls[0].authorization == f"Bearer {canaries[0]}"
    assert trap.visitors == 0
