"""What is read from files and variables, without a server."""

import os
import socket
from pathlib import Path

import pytest

from mintonce import Refused
from mintonce._files import FileFault, Watched
from mintonce._local import is_local
from mintonce._tls import watched
from mintonce.credentials import ApiKeyFile, BearerFile, Tls, authorization, bearer_from, tls_from
from support.tls_grpc import Certificates


class Seconds:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_files_are_looked_at_once_a_second_and_loaded_when_they_changed(tmp_path: Path) -> None:
    """However often the value is read, and though neither size nor time of the file differ."""
    path, clock, loads = tmp_path / "f", Seconds(), list[bytes]()

    def load(contents: tuple[bytes, ...]) -> bytes:
        loads.append(contents[0])
        return contents[0]

    path.write_bytes(b"one")
    os.utime(path, ns=(0, 0))
    files = Watched((str(path),), load, "Mend it.", clock)
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 0))
    assert files.current() == b"one"
    clock.now += 1.0
    assert files.current() == b"two"
    path.write_bytes(b"six")
    assert files.current() == b"two"
    path.write_bytes(b"two")
    clock.now += 1.0
    assert files.current() == b"two"
    assert loads == [b"one", b"two"]


def test_a_fault_is_warned_of_once_and_again_when_it_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not every second."""
    path, clock = tmp_path / "f", Seconds()
    path.write_bytes(b"one")
    files = Watched((str(path),), lambda contents: contents[0], "Mend it.", clock)
    for there in (False, False, True, False):
        if there:
            path.write_bytes(b"one")
        else:
            path.unlink(missing_ok=True)
        clock.now += 1.0
        assert files.current() == b"one"
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} cannot be read: No such file or directory; going on with what was there before"
    ] * 2


def test_what_cannot_be_read_at_first_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """No connection is opened with half of its credentials."""
    with pytest.raises(Refused, match="No such file") as caught:
        Watched((str(tmp_path / "f"),), lambda contents: contents[0], "Mend it.")
    assert (caught.value.reason, caught.value.remedy) == ("CREDENTIALS", "Mend it.")


@pytest.mark.parametrize("kind", ["pipe", "directory", "socket", "large"])
def test_only_regular_files_of_a_sane_size_are_read(tmp_path: Path, kind: str) -> None:
    """A pipe without a writer must not hold up a call."""
    path = tmp_path / "f"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    else:
        path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(Refused, match=str(path)):
        Watched((str(path),), lambda contents: contents[0], "Mend it.")


@pytest.mark.parametrize("wrong", ["another's key", "an encrypted key", "no authority", "an empty authority", "text"])
def test_tls_files_that_do_not_fit_are_refused_before_anything_is_sent(tmp_path: Path, wrong: str) -> None:
    """gRPC would only say UNAVAILABLE; OpenSSL would ask for a password at the terminal."""
    certificates = Certificates(tmp_path)
    certificates.give_client("x")
    if wrong == "another's key":
        certificates.key_file.write_bytes(certificates.issue("client.test").key)
    elif wrong == "an encrypted key":
        certificates.key_file.write_bytes(encrypted(certificates.key_file.read_bytes()))
    elif wrong == "text":
        certificates.certificate_file.write_text("secret text")
    else:
        certificates.ca_file.write_text("" if "empty" in wrong else "secret text")
    with pytest.raises(Refused) as caught:
        watched(certificates.tls(mutual=True))
    assert caught.value.reason == "CREDENTIALS"
    assert "openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.p8" in caught.value.remedy
    assert "secret text" not in str(caught.value)
    assert caught.value.__context__ is None


def encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    return load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )


def test_a_bundle_may_name_its_authorities_in_any_language(tmp_path: Path) -> None:
    """As comments between the certificates, which bundles of distributions have."""
    certificates = Certificates(tmp_path)
    certificates.ca_file.write_bytes("# Główny urząd\n".encode() + certificates.ca)
    watched(certificates.tls())


def test_tls_without_files_trusts_this_hosts_authorities() -> None:
    """MINTONCE_TLS=true, for a server with a public certificate."""
    credentials = watched(Tls())
    assert credentials.current() is credentials.current()


@pytest.mark.parametrize(
    "text",
    [b"", b"  \n", b"two words", b"two\nlines", b"Bearer x", b"x\r\nauthorization: y", "é".encode(), b"x" * 8193, b"="],
)
def test_a_file_that_holds_something_else_than_one_bearer_is_refused(text: bytes) -> None:
    """RFC 6750, section 2.1; the error shows nothing of it."""
    with pytest.raises(FileFault, match="token-file") as caught:
        authorization(text, "token-file")
    assert str(text.strip() or b"\0") not in str(caught.value)


def test_white_space_around_a_bearer_does_not_count() -> None:
    """Editors and `echo` end files with a newline."""
    assert authorization(b" mok_A-Z.a~z/0+9== \n", "f") == "Bearer mok_A-Z.a~z/0+9=="


@pytest.mark.parametrize(
    "target",
    [
        "unix:/run/mintonce.sock",
        "unix:///run/mintonce.sock",
        "unix-abstract:mintonce",
        "127.0.0.1:50051",
        "127.0.0.2",
        "localhost:50051",
        "LocalHost",
        "[::1]:50051",
        "::1",
        "dns:localhost:50051",
        "dns:///127.0.0.1:50051",
        "ipv4:127.0.0.1:1,127.0.0.1:2",
        "ipv6:[::1]:50051",
    ],
)
def test_targets_that_stay_on_this_host(target: str) -> None:
    """A bearer may go there in clear."""
    assert is_local(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "mintonce:50051",
        "10.0.0.1:50051",
        "0.0.0.0:50051",
        "[::]:50051",
        "localhost.example:50051",
        "127.0.0.1.example:50051",
        "127.1:50051",
        "dns://10.0.0.53/localhost:50051",
        "ipv4:127.0.0.1:1,10.0.0.1:2",
        "[::1]evil:50051",
        "xds:///localhost",
        "passthrough:///localhost",
        "unix",
        "localhost@example:1",
        "localhost/../example:1",
    ],
)
def test_targets_that_leave_it_or_are_not_understood(target: str) -> None:
    """When in doubt, not in clear."""
    assert not is_local(target)


def test_the_environment_says_nothing_unless_it_says_something() -> None:
    """Empty variables, which compose files leave behind, are none; so is MINTONCE_TLS=false."""
    assert tls_from({"MINTONCE_CA_FILE": "", "MINTONCE_TLS": ""}) is None
    assert tls_from({"MINTONCE_TLS": "false"}) is None
    assert bearer_from({"MINTONCE_BEARER_FILE": ""}) is None


def test_the_variables_and_what_they_mean() -> None:
    """One for each option."""
    assert tls_from({"MINTONCE_TLS": "True"}) == Tls()
    assert tls_from(
        {
            "MINTONCE_CA_FILE": "ca",
            "MINTONCE_CERTIFICATE_FILE": "c",
            "MINTONCE_KEY_FILE": "k",
            "MINTONCE_SERVER_NAME": "n",
        }
    ) == Tls("ca", "c", "k", "n")
    assert bearer_from({"MINTONCE_BEARER_FILE": "b"}) == BearerFile("b")
    assert bearer_from({"MINTONCE_API_KEY_FILE": "a"}) == ApiKeyFile("a")


@pytest.mark.parametrize(
    "environ",
    [
        {"MINTONCE_TLS": "maybe"},
        {"MINTONCE_TLS": "no", "MINTONCE_CA_FILE": "ca"},
        {"MINTONCE_KEY_FILE": "k"},
        {"MINTONCE_BEARER_FILE": "b", "MINTONCE_API_KEY_FILE": "a"},
    ],
)
def test_variables_that_contradict_each_other_are_refused(environ: dict[str, str]) -> None:
    """Guessing could connect as the wrong caller, or to the wrong server."""
    with pytest.raises(Refused) as caught:
        _ = tls_from(environ), bearer_from(environ)
    assert caught.value.remedy
