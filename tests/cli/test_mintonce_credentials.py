"""`mintonce` over TLS and with bearers, as a program of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.scripted_server import AUDIENCE, CLIENT
from support.tls_grpc import Certificates, TlsServer

PROGRAM = Path(sys.executable).with_name("mintonce")
DOCS = Path(__file__).parents[2] / "docs"
GET = ("get", CLIENT, AUDIENCE)


def mintonce(*args: str | Path, **variables: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}, "PYTHONWARNINGS": "error"}
    done = subprocess.run([PROGRAM, *args], capture_output=True, text=True, env=environment, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    result = Certificates(tmp_path)
    result.give_client("me")
    (tmp_path / "token").write_text("a-jwt\n")
    (tmp_path / "key").write_text("an-api-key\n")
    return result


def test_flags_name_the_files(certificates: Certificates) -> None:
    """Before the command or behind it."""
    with TlsServer(certificates, mutual=True) as server:
        code, out, err = mintonce(
            "--target",
            server.target,
            "--ca-file",
            certificates.ca_file,
            *GET,
            "--certificate-file",
            certificates.certificate_file,
            "--key-file",
            certificates.key_file,
            "--bearer-file",
            certificates.directory / "token",
        )
        assert (code, out, err) == (0, "secret-101\n", "")
        assert (server.callers, server.authorizations) == (["me"], [["Bearer a-jwt"]])


def test_variables_name_them_too_and_flags_go_before(certificates: Certificates) -> None:
    """An API key by flag takes the place of a bearer by variable: a call has one identity."""
    with TlsServer(certificates) as server:
        code, _, err = mintonce(
            *GET,
            "--api-key-file",
            certificates.directory / "key",
            MINTONCE_TARGET=server.target,
            MINTONCE_CA_FILE=certificates.ca_file,
            MINTONCE_BEARER_FILE=certificates.directory / "token",
        )
        assert (code, err) == (0, "")
        assert server.authorizations == [["Bearer an-api-key"]]


def test_a_bearer_for_another_host_in_clear_exits_with_1_and_a_remedy(certificates: Certificates) -> None:
    """And is not shown."""
    code, out, err = mintonce(
        *GET, "--target", "mintonce.example:50051", "--bearer-file", certificates.directory / "token"
    )
    assert (code, out) == (1, "")
    assert err.startswith("mintonce: a bearer would travel in clear to mintonce.example:50051 (CREDENTIALS)\n")
    assert "--ca-file" in err
    assert "a-jwt" not in err


def test_a_failed_handshake_exits_with_3_and_says_where_to_look(certificates: Certificates) -> None:
    """The cause, then its remedy."""
    with TlsServer(certificates) as server:
        code, _, err = mintonce(*GET, "--target", server.target, "--tls")
    assert code == 3
    assert "its certificate is not from a CA that this client trusts" in err
    assert "from the CA" in err


def test_the_document_shows_what_the_program_prints(certificates: Certificates) -> None:
    """The help of the flags, and the refusal of a bearer in clear."""
    _, out, _ = mintonce("--help", COLUMNS="100")
    flags = out[out.index("credentials:\n") : out.index("commands:")].rstrip()
    assert flags in (DOCS / "reference" / "cli.md").read_text()
    _, _, err = mintonce(
        *GET, "--target", "mintonce.example:50051", "--api-key-file", certificates.directory / "key", COLUMNS="110"
    )
    assert err in (DOCS / "clients" / "index.md").read_text()


def test_a_secret_is_no_argument() -> None:
    """Every flag about credentials names a file, a name or nothing."""
    code, out, _ = mintonce("--help")
    assert code == 0
    section = out.partition("\ncredentials:\n")[2].partition("\n\n")[0] + out.partition("is given.")[2]
    flags = {word for word in section.split() if word.startswith("--")}
    assert flags == {
        "--tls",
        "--ca-file",
        "--certificate-file",
        "--key-file",
        "--server-name",
        "--bearer-file",
        "--api-key-file",
    }
