"""A client's certificate: loaded from bytes, presented on connections, replaced while it is in use."""

import asyncio
import os
import ssl
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from mintonce_server.core.errors import IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.issuer import ClientCredentials, load_client_certificate
from support.endpoints import IssuerAt
from support.peers import answers, peer
from support.tls import Authority

KEY = TokenKey.of("orders", "https://api.example.com/")
GOOD = b'{"access_token":"a","token_type":"Bearer","expires_in":60}'


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> tuple[bytes, bytes]:
    certificate, key = authority.client()
    return certificate.read_bytes(), key.read_bytes()


def serial_of(writer: asyncio.StreamWriter) -> object:
    return writer.get_extra_info("peercert")["serialNumber"]


def test_a_certificate_prints_nothing_of_itself(pair: tuple[bytes, bytes]) -> None:
    """Its key least of all."""
    assert repr(load_client_certificate(*pair)) == "ClientCertificate()"


def encrypted(key: bytes) -> bytes:
    private = load_pem_private_key(key, None)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))


SPOILT: dict[str, tuple[Callable[[bytes, bytes], tuple[bytes, bytes]], str]] = {
    "no certificate": (lambda _cert, key: (b"", key), "certificate is not PEM"),
    "text": (lambda _cert, key: (b"c4nary", key), "certificate is not PEM"),
    "no key": (lambda cert, _key: (cert, b"c4nary"), "private key is not PEM"),
    "broken key": (lambda cert, key: (cert, key.replace(b"\n", b"\nc4nary", 1)), "private key is not PEM"),
    "swapped": (lambda cert, key: (key, cert), "certificate is not PEM"),
    "encrypted": (lambda cert, key: (cert, encrypted(key)), "encrypted"),
}


@pytest.mark.parametrize(("spoil", "why"), SPOILT.values(), ids=SPOILT)
def test_what_is_no_certificate_with_its_key_is_refused(
    pair: tuple[bytes, bytes], spoil: Callable[[bytes, bytes], tuple[bytes, bytes]], why: str
) -> None:
    """So a poller keeps the previous one. The error shows no byte, and there is no password prompt."""
    with pytest.raises(ValueError, match=why) as caught:
        load_client_certificate(*spoil(*pair))
    assert caught.value.__context__ is None
    assert "c4nary" not in "".join(traceback.format_exception(caught.value))


def test_the_key_must_be_that_of_the_certificate(authority: Authority, pair: tuple[bytes, bytes]) -> None:
    """Half of a rotation: one file is new, the other not yet."""
    other = authority.client()[1].read_bytes()
    with pytest.raises(ValueError, match="does not belong to the first certificate"):
        load_client_certificate(pair[0], other)


@pytest.mark.parametrize("in_memory", [True, False])
def test_no_file_is_left_of_a_key(
    pair: tuple[bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    """OpenSSL only reads files; ours are in memory, or removed at once if the system has no such files."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    load_client_certificate(*pair).load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert not list(directory.iterdir())


async def test_a_replaced_certificate_is_shown_while_the_old_one_is_still_in_use(
    issuer_at: IssuerAt, authority: Authority
) -> None:
    """The request in progress ends as it began; then its connection is closed, and not before."""
    certificates = [load_client_certificate(*(file.read_bytes() for file in authority.client())) for _ in range(2)]
    current = [certificates[0]]
    shown: list[object] = []
    begun, go_on, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(serial_of(writer))
        first = len(shown) == 1
        if first:
            begun.set()
            await go_on.wait()
        writer.write(whole)
        await writer.drain()
        await reader.read()
        if first:
            hung_up.set()

    async with asyncio.timeout(10), peer(script, authority.server(wants_certificate=True)) as url:
        credentials = ClientCredentials("id", certificate=lambda: current[0])
        issuer = issuer_at(url, credentials, auth="tls_client_auth", ca_file=str(authority.ca))
        slow = asyncio.create_task(issuer.mint(KEY))
        await begun.wait()
        current[0] = certificates[1]
        assert (await issuer.mint(KEY)).lifetime == 60.0
        assert not hung_up.is_set()
        go_on.set()
        assert (await slow).lifetime == 60.0
        await hung_up.wait()
    assert len(set(shown)) == 2


async def test_without_a_change_the_connection_is_kept(issuer_at: IssuerAt, authority: Authority) -> None:
    """The same bytes are the same certificate: a poller that reads too often causes no handshake."""
    files = [file.read_bytes() for file in authority.client()]
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
            await reader.readuntil(b"}")

    async with peer(script, authority.server(wants_certificate=True)) as url:
        credentials = ClientCredentials("id", certificate=lambda: load_client_certificate(files[0], files[1]))
        issuer = issuer_at(url, credentials, auth="tls_client_auth", ca_file=str(authority.ca))
        await issuer.mint(KEY)
        await issuer.mint(KEY)
    assert connections == 1


async def test_a_certificate_that_the_server_refuses_is_in_the_remedy(
    issuer_at: IssuerAt, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In TLS 1.3 the server rejects it after the handshake, which looks like a broken connection."""
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    foreign = load_client_certificate(*(file.read_bytes() for file in stranger.client()))
    async with peer(answers(200, GOOD), authority.server(wants_certificate=True)) as url:
        credentials = ClientCredentials("id", certificate=lambda: foreign)
        with pytest.raises(IssuerUnavailable) as caught:
            await issuer_at(url, credentials, auth="tls_client_auth", ca_file=str(authority.ca)).mint(KEY)
    assert "rejects our certificate" in caught.value.remedy


def test_it_needs_tls(issuer_at: IssuerAt, pair: tuple[bytes, bytes]) -> None:
    """A certificate is only presented with TLS."""
    credentials = ClientCredentials("id", certificate=lambda: load_client_certificate(*pair))
    with pytest.raises(ValueError, match="https"):
        issuer_at("http://127.0.0.1:1/", credentials, auth="tls_client_auth")


async def test_a_ca_file_that_is_gone_meanwhile_is_said_and_not_replaced(
    issuer_at: IssuerAt, authority: Authority
) -> None:
    """A new certificate needs new connections, and those need the CAs."""
    certificates = [load_client_certificate(*(file.read_bytes() for file in authority.client())) for _ in range(2)]
    current = [certificates[0]]
    credentials = ClientCredentials("id", certificate=lambda: current[0])
    issuer = issuer_at("https://127.0.0.1:1/", credentials, auth="tls_client_auth", ca_file=str(authority.ca))
    current[0] = certificates[1]
    authority.ca.unlink()
    with pytest.raises(IssuerUnavailable, match="ca_file"):
        await issuer.mint(KEY)
