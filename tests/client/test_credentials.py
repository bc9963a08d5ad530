"""How a client shows who it is and knows the server, against a real gRPC server with TLS."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from trustme import KeyType

from mintonce import (
    ApiKeyFile,
    AsyncTokenClient,
    AsyncTokenSource,
    BearerFile,
    Refused,
    Tls,
    TokenClient,
    TokenSource,
    Unavailable,
    Unreachable,
)
from support.scripted_server import AUDIENCE, CLIENT, ScriptedServer
from support.tls_grpc import SERVER_NAME, Certificates, TlsServer


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def tls_server(certificates: Certificates) -> Iterator[TlsServer]:
    certificates.give_client("first")
    with TlsServer(certificates, mutual=True) as running:
        yield running


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at with each call, so that no test waits for a second to pass."""
    monkeypatch.setattr("mintonce._files.LOOK_EVERY", 0.0)


def bearer(directory: Path, text: str = "a-bearer") -> Path:
    path = directory / "bearer"
    path.write_text(text)
    return path


def test_a_certificate_is_shown_to_a_server_whose_own_is_checked(
    tls_server: TlsServer, certificates: Certificates
) -> None:
    """TLS both ways."""
    with TokenClient(tls_server.target, tls=certificates.tls(mutual=True)) as client:
        assert client.get(CLIENT, AUDIENCE).generation == 101
    assert tls_server.callers == ["first"]


def test_the_key_may_be_in_the_certificates_file(tls_server: TlsServer, certificates: Certificates) -> None:
    """As many tools write it."""
    both = certificates.directory / "both.pem"
    both.write_bytes(certificates.key_file.read_bytes() + certificates.certificate_file.read_bytes())
    with TokenClient(tls_server.target, tls=Tls(certificates.ca_file, both)) as client:
        client.get(CLIENT, AUDIENCE)
    assert tls_server.callers == ["first"]


@pytest.mark.parametrize("form", ["PRIVATE", "EC PRIVATE", "RSA PRIVATE"])
def test_keys_may_have_any_form_that_openssl_writes(
    tls_server: TlsServer, certificates: Certificates, form: str
) -> None:
    """PKCS#8, SEC1 and PKCS#1, in PEM."""
    key_type = KeyType.RSA if form == "RSA PRIVATE" else KeyType.ECDSA
    issued = certificates.authority.issue_cert("client.test", common_name="other", key_type=key_type)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    layout = PrivateFormat.PKCS8 if form == "PRIVATE" else PrivateFormat.TraditionalOpenSSL
    certificates.certificate_file.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    certificates.key_file.write_bytes(key.private_bytes(Encoding.PEM, layout, NoEncryption()))
    assert certificates.key_file.read_text().startswith(f"-----BEGIN {form} KEY-----")
    with TokenClient(tls_server.target, tls=certificates.tls(mutual=True)) as client:
        client.get(CLIENT, AUDIENCE)
    assert tls_server.callers == ["other"]


def test_a_server_of_another_name_is_known_by_server_name_alone(certificates: Certificates) -> None:
    """For an address that the certificate does not know."""
    with TlsServer(certificates, name=SERVER_NAME) as server:
        with TokenClient(server.target, tls=certificates.tls()) as client, pytest.raises(Unreachable) as caught:
            client.get(CLIENT, AUDIENCE)
        with TokenClient(server.target, tls=Tls(certificates.ca_file, server_name=SERVER_NAME)) as client:
            assert client.get(CLIENT, AUDIENCE).generation == 101
    assert "server_name" in caught.value.remedy


def test_a_server_of_a_foreign_authority_is_never_spoken_to(certificates: Certificates, tmp_path: Path) -> None:
    """Not even to show it a bearer; the remedy says where to look."""
    (tmp_path / "other").mkdir()
    other = Certificates(tmp_path / "other")
    with TlsServer(other) as server:
        with (
            TokenClient(server.target, tls=certificates.tls(), bearer=BearerFile(bearer(tmp_path))) as client,
            pytest.raises(Unreachable) as caught,
        ):
            client.get(CLIENT, AUDIENCE)
        assert server.calls == {}
    assert "from the CA" in caught.value.remedy
    assert "a-bearer" not in str(caught.value)


def test_a_client_in_clear_learns_that_the_server_may_want_tls(tls_server: TlsServer) -> None:
    """gRPC tells it no more than that the connection broke."""
    with TokenClient(tls_server.target) as client, pytest.raises(Unreachable) as caught:
        client.get(CLIENT, AUDIENCE)
    assert "in clear" in caught.value.remedy
    assert "MINTONCE_CA_FILE" in caught.value.remedy


def test_a_client_without_certificate_learns_that_the_server_may_want_one(
    tls_server: TlsServer, certificates: Certificates
) -> None:
    """The server just hangs up on it."""
    with TokenClient(tls_server.target, tls=certificates.tls()) as client, pytest.raises(Unreachable) as caught:
        client.get(CLIENT, AUDIENCE)
    assert "MINTONCE_CERTIFICATE_FILE" in caught.value.remedy


@pytest.mark.usefixtures("eager")
def test_a_new_certificate_is_shown_by_the_next_call_while_a_watch_goes_on(
    tls_server: TlsServer, certificates: Certificates
) -> None:
    """Rotation costs no call, and the old connection closes with the last that used it."""
    with TokenClient(tls_server.target, tls=certificates.tls(mutual=True)) as client:
        with client.watch(CLIENT, AUDIENCE) as tokens:
            next(tokens)
            certificates.give_client("second")
            client.get(CLIENT, AUDIENCE)
            tls_server.publish()
            assert next(tokens).generation == 102
            assert len(client._connection.lines()) == 2
        del tokens
        client.get(CLIENT, AUDIENCE)
        assert len(client._connection.lines()) == 1
    assert tls_server.callers == ["first", "second", "second"]


@pytest.mark.usefixtures("eager")
def test_close_ends_what_is_under_way_on_a_replaced_connection_too(
    tls_server: TlsServer, certificates: Certificates
) -> None:
    """Nothing outlives its client."""
    client = TokenClient(tls_server.target, tls=certificates.tls(mutual=True))
    watch = client.watch(CLIENT, AUDIENCE)
    next(watch)
    certificates.give_client("second")
    client.get(CLIENT, AUDIENCE)
    client.close()
    with pytest.raises(Exception, match="closed"):
        next(watch)


@pytest.mark.usefixtures("eager")
async def test_the_async_client_follows_its_files_too(tls_server: TlsServer, certificates: Certificates) -> None:
    """The watch under way is not cut off by the new channel."""
    async with AsyncTokenClient(tls_server.target, tls=certificates.tls(mutual=True)) as client:
        async with client.watch(CLIENT, AUDIENCE) as tokens:
            await anext(tokens)
            certificates.give_client("second")
            await client.get(CLIENT, AUDIENCE)
            tls_server.publish()
            assert (await anext(tokens)).generation == 102
        del tokens
        await client.get(CLIENT, AUDIENCE)
        assert len(client._connection.lines()) == 1
    assert tls_server.callers == ["first", "second", "second"]


@pytest.mark.usefixtures("eager")
def test_a_source_lives_through_a_change_of_authority(tls_server: TlsServer, certificates: Certificates) -> None:
    """Both sides change; the source comes back with the new files by itself."""
    with TokenSource(CLIENT, AUDIENCE, via=tls_server.target, tls=certificates.tls(mutual=True)) as source:
        first = source.get()
        tls_server.publish()
        source.wait_until_updated(first)  # so that the watch is known to be there
        tls_server.stop()
        newer = Certificates(certificates.directory)  # overwrites the CA's file
        newer.give_client("second")
        tls_server.use(newer)
        tls_server.start()
        token = source.get()
        tls_server.publish()
        assert source.wait_until_updated(token).generation == 103
    assert tls_server.callers[-1] == "second"


@pytest.mark.usefixtures("eager")
def test_a_broken_new_certificate_leaves_the_old_one_in_use_and_warns_once(
    tls_server: TlsServer, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of a rotation is no outage; the warning names the files."""
    with TokenClient(tls_server.target, tls=certificates.tls(mutual=True)) as client, caplog.at_level(logging.WARNING):
        certificates.key_file.write_bytes(certificates.issue("client.test").key)
        for _ in range(3):
            client.get(CLIENT, AUDIENCE)
        certificates.give_client("second")
        client.get(CLIENT, AUDIENCE)
    assert tls_server.callers == ["first", "first", "first", "second"]
    (warning,) = (record.getMessage() for record in caplog.records if record.name == "mintonce")
    assert str(certificates.key_file) in warning


@pytest.mark.parametrize("kind", [BearerFile, ApiKeyFile])
@pytest.mark.usefixtures("eager")
def test_a_bearer_goes_with_each_call_and_is_read_again(
    kind: type[BearerFile | ApiKeyFile], certificates: Certificates, tmp_path: Path
) -> None:
    """As Kubernetes replaces it: a symbolic link to a directory is swapped, no file is written to."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(f"{name}.bearer~x==\n")
    data = tmp_path / "..data"
    data.symlink_to("first")
    with TlsServer(certificates) as server:
        with TokenClient(server.target, tls=certificates.tls(), bearer=kind(data / "token")) as client:
            client.get(CLIENT, AUDIENCE)
            (tmp_path / "new").symlink_to("second")
            (tmp_path / "new").rename(data)
            client.list_tokens()
            with client.watch(CLIENT, AUDIENCE) as tokens:
                next(tokens)
        assert server.authorizations == [["Bearer first.bearer~x=="]] + [["Bearer second.bearer~x=="]] * 2


async def test_the_async_source_sends_its_bearer(certificates: Certificates, tmp_path: Path) -> None:
    """Options go through to the client that it makes."""
    with TlsServer(certificates) as server:
        async with await AsyncTokenSource.open(
            CLIENT,
            AUDIENCE,
            via=server.target,
            tls=certificates.tls(),
            bearer=BearerFile(bearer(tmp_path)),
        ) as source:
            assert source.token().generation == 101
        assert server.authorizations[0] == ["Bearer a-bearer"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("broken", ["", "two words", "new\nlines", "Bearer x", "é"])
def test_a_bearer_file_that_becomes_unusable_leaves_the_old_one_in_use(
    server: ScriptedServer, tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the error shows nothing of what it holds."""
    path = bearer(tmp_path)
    with TokenClient(server.target, bearer=BearerFile(path)) as client, caplog.at_level(logging.WARNING):
        path.write_text(broken)
        assert client.get(CLIENT, AUDIENCE).generation == 101
    assert str(path) in caplog.text
    assert not broken or broken not in caplog.text


def test_a_bearer_is_not_sent_in_clear_to_another_host(tmp_path: Path) -> None:
    """Refused before anything is opened, with a remedy."""
    with pytest.raises(Refused, match="in clear") as caught:
        TokenClient("mintonce.example:50051", bearer=BearerFile(bearer(tmp_path)))
    assert caught.value.reason == "CREDENTIALS"
    assert "MINTONCE_CA_FILE" in caught.value.remedy
    assert "a-bearer" not in repr(caught.value)


def test_a_proxy_of_the_environment_gets_no_bearer_in_clear(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC would take even loopback through http_proxy."""
    for name in ("no_proxy", "no_grpc_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with TokenClient(server.target, bearer=BearerFile(bearer(tmp_path))) as client:
        assert client.get(CLIENT, AUDIENCE).generation == 101


def test_the_environment_gives_credentials_for_what_was_not_said(
    tls_server: TlsServer, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a line of code; False says: none, whatever the environment says."""
    monkeypatch.setenv("MINTONCE_CA_FILE", str(certificates.ca_file))
    monkeypatch.setenv("MINTONCE_CERTIFICATE_FILE", str(certificates.certificate_file))
    monkeypatch.setenv("MINTONCE_KEY_FILE", str(certificates.key_file))
    monkeypatch.setenv("MINTONCE_BEARER_FILE", str(bearer(tmp_path)))
    with TokenClient(tls_server.target) as client:
        client.get(CLIENT, AUDIENCE)
    with TokenClient(tls_server.target, bearer=False) as client:
        client.get(CLIENT, AUDIENCE)
    assert tls_server.callers == ["first", "first"]
    assert tls_server.authorizations == [["Bearer a-bearer"], []]
    with TokenClient(tls_server.target, tls=False, bearer=False) as client, pytest.raises(Unavailable):
        client.get(CLIENT, AUDIENCE)


def test_what_contradicts_itself_is_a_mistake_of_the_program(
    server: ScriptedServer, certificates: Certificates
) -> None:
    """Not silently one of the two."""
    with TokenClient(server.target) as client:
        with pytest.raises(ValueError, match="shares"):
            TokenSource(CLIENT, AUDIENCE, via=client, tls=certificates.tls())
        line = client._connection.line()
        with pytest.raises(ValueError, match="given channel"):
            TokenClient(channel=line.channel, tls=True)
    with pytest.raises(ValueError, match="needs certificate_file"):
        Tls(key_file="x")
