"""Why an issuer cannot be reached, in the same words by `mintonced check` and at a mint."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mintonce_server.cli.check import probe_issuer
from mintonce_server.config import IssuerSettings
from mintonce_server.core.errors import IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.issuer.certificate import load_client_certificate
from mintonce_server.issuer.options import ClientCredentials
from support.certificates import DAY, NOW, Authority, Issued
from support.endpoints import IssuerAt
from support.strict_tls import strict_tls

KEY = TokenKey.of("orders", "https://api.example.com/")


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncGenerator[int]:
    """Sends nothing but a handshake."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


def shown_by(issued: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


async def said_of(url: str, ca_file: Path, issuer_at: IssuerAt) -> set[str]:
    """The text of both. Each has a remedy."""
    with pytest.raises(IssuerUnavailable) as minting:
        await issuer_at(url, ca_file=str(ca_file)).mint(KEY)
    with pytest.raises(IssuerUnavailable) as checking:
        await probe_issuer(IssuerSettings(token_url=url, ca_file=ca_file))
    assert minting.value.remedy == checking.value.remedy != ""
    return {str(minting.value), str(checking.value)}


async def test_its_certificate_has_expired(ours: Authority, issuer_at: IssuerAt) -> None:
    """Only the issuer's operators can renew it."""
    old = ours.issue("old", addresses=["127.0.0.1"], begins=NOW - 2 * DAY, ends=NOW - DAY)
    async with listening(shown_by(old)) as port:
        said = await said_of(f"https://127.0.0.1:{port}/t", ours.ca, issuer_at)
    assert said == {"the certificate of the issuer at 127.0.0.1, or that of its authority, has expired"}


async def test_its_certificate_is_foreign(ours: Authority, tmp_path: Path, issuer_at: IssuerAt) -> None:
    """The remedy is ca_file."""
    async with listening(shown_by(Authority(tmp_path, "foreign").server())) as port:
        (said,) = await said_of(f"https://127.0.0.1:{port}/t", ours.ca, issuer_at)
    assert "certificate of the issuer at 127.0.0.1 is signed by an authority that is not trusted here" in said


async def test_its_certificate_is_for_another_host(ours: Authority, issuer_at: IssuerAt) -> None:
    """Known CA, wrong name."""
    async with listening(shown_by(ours.issue("other", dns=["login.example.com"]))) as port:
        (said,) = await said_of(f"https://127.0.0.1:{port}/t", ours.ca, issuer_at)
    assert "does not name the host in token_url" in said


async def test_its_port_is_in_clear(ours: Authority, issuer_at: IssuerAt) -> None:
    """An HTTP server answers a handshake with text."""
    async with listening(None) as port:
        said = await said_of(f"https://127.0.0.1:{port}/t", ours.ca, issuer_at)
    assert said == {"the issuer at 127.0.0.1 does not speak TLS, and token_url says https://"}


async def test_no_listener_is_there(ours: Authority, issuer_at: IssuerAt) -> None:
    """The port is closed."""
    async with listening(None) as port:
        pass
    said = await said_of(f"https://127.0.0.1:{port}/t", ours.ca, issuer_at)
    assert said == {"nothing listens at the port of the issuer at 127.0.0.1"}


async def test_it_refuses_the_certificate_of_a_client(ours: Authority, tmp_path: Path, issuer_at: IssuerAt) -> None:
    """The client's certificate. The issuer may disconnect before its alert is read: then the error says that."""
    foreign = Authority(tmp_path, "foreign").issue("client")
    certificate = load_client_certificate(foreign.pem, foreign.key.read_bytes())
    context = shown_by(ours.server())
    context.load_verify_locations(ours.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with strict_tls(context) as port:
        credentials = ClientCredentials("id", certificate=lambda: certificate)
        issuer = issuer_at(f"https://127.0.0.1:{port}/t", credentials, auth="tls_client_auth", ca_file=str(ours.ca))
        with pytest.raises(IssuerUnavailable) as caught:
            await issuer.mint(KEY)
    assert any(part in f"{caught.value} {caught.value.remedy}" for part in ("refuses our certificate", "trusts "))
