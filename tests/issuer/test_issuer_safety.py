"""The service cannot be used as a proxy: it sends requests to the issuer only."""

import asyncio
import json
import logging
import ssl
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintonce_server.common.trust import trust
from mintonce_server.core.errors import IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials, EndpointSources
from mintonce_server.issuer.auth import ClientProof
from mintonce_server.issuer.connection_errors import NotThisMachine
from mintonce_server.issuer.http import require_loopback
from mintonce_server.issuer.request import Parameters, mint_request
from support.endpoints import CLIENT_ID, SECRET, IssuerAt
from support.peers import answers, peer, says
from support.tls import Authority

KEY = TokenKey.of("orders", "https://api.example.com/")
GOOD = b'{"access_token":"a","token_type":"Bearer","expires_in":60}'
HOSTILE = [
    "http://169.254.169.254/latest/meta-data/",
    "https://api.example.com/\r\nHost: evil.example\r\n\r\nGET / HTTP/1.1",
    "@evil.example/",
    "../../admin",
    "?client_id=other&grant_type=password",
    "&client_id=other&audience=admin",
    '","client_id":"other","x":"',
    "#fragment",
    "\x00",
    "\u2028\ud7ff%0d%0a",
]


class Stream:
    """A connection to an address, as httpx shows it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.closed = False

    def get_extra_info(self, name: str) -> object:
        return (self._address, 80) if name == "server_addr" else None

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("dialect", ["json", "form"])
@pytest.mark.parametrize("audience", HOSTILE)
async def test_no_audience_changes_where_a_request_goes(issuer_at: IssuerAt, audience: str, dialect: str) -> None:
    """One request, with the path, the query and the host of the setting, whatever a caller wants a token for."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    # As it comes, though TokenKey.of would refuse most of these.
    await issuer_at(f"http://{host}/oauth/token?tenant=a", request=dialect).mint(TokenKey("orders", audience, ()))
    server.close()
    await server.wait_closed()
    (head,) = seen
    lines = head.decode("ascii").split("\r\n")
    assert lines[0] == "POST /oauth/token?tenant=a HTTP/1.1"
    assert [line for line in lines if line.lower().startswith("host:")] == [f"Host: {host}"]


PROOF = ClientProof(parameters={"client_id": CLIENT_ID, "client_secret": SECRET})


@settings(max_examples=60)
@given(audience=st.text(st.characters(codec="utf-8"), min_size=1) | st.sampled_from(HOSTILE))
def test_no_audience_adds_a_parameter_or_replaces_one(audience: str) -> None:
    """It is one value among the others, in both dialects."""
    key = TokenKey("orders", audience, ())
    own = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": SECRET}
    as_json = json.loads(mint_request("https://login.example.com/", key, PROOF, Parameters("json", "resource")).content)
    assert as_json == {"audience": audience, **own}
    as_form = parse_qs(
        mint_request("https://login.example.com/", key, PROOF, Parameters("form", "resource")).content.decode(),
        strict_parsing=True,
    )
    assert as_form == {name: [text] for name, text in {"resource": audience, **own}.items()}


@pytest.mark.parametrize("host", ["login.example.com", "127.0.0.2"])
async def test_a_certificate_of_another_host_gets_nothing(
    issuer_at: IssuerAt, tmp_path: Path, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever DNS says: it has the right CA and the wrong name."""
    reached = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()

    authority = Authority(tmp_path)
    async with peer(script, authority.server(host)) as url:
        with caplog.at_level(logging.CRITICAL), pytest.raises(IssuerUnavailable, match="does not name the host"):
            await issuer_at(url, ca_file=str(authority.ca)).mint(KEY)
    assert not reached.is_set()


async def test_a_foreign_authority_gets_nothing(issuer_at: IssuerAt, tmp_path: Path) -> None:
    """With a pinned CA only that one counts, otherwise only the system's."""
    for name in ("ours", "foreign"):
        (tmp_path / name).mkdir()
    ours, foreign = (Authority(tmp_path / name) for name in ("ours", "foreign"))
    async with peer(answers(200, GOOD), foreign.server()) as url:
        for ca_file in (str(ours.ca), None):
            with pytest.raises(IssuerUnavailable, match="an authority that is not trusted here"):
                await issuer_at(url, ca_file=ca_file).mint(KEY)
        assert (await issuer_at(url, ca_file=str(foreign.ca)).mint(KEY)).lifetime == 60.0


def test_old_tls_is_not_spoken(tmp_path: Path) -> None:
    """At least TLS 1.2, with the name checked, for any CAs."""
    for ca_file in (None, str(Authority(tmp_path).ca)):
        context = trust(ca_file)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED


async def test_the_environment_names_no_authority(
    issuer_at: IssuerAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE does not replace the system's."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    async with peer(answers(200, GOOD), authority.server()) as url:
        with pytest.raises(IssuerUnavailable, match="an authority that is not trusted here"):
            await issuer_at(url).mint(KEY)


async def test_localhost_is_this_machine(issuer_at: IssuerAt) -> None:
    """As on every machine, unless it was changed."""
    async with peer(answers(200, GOOD)) as url:
        assert (await issuer_at(url.replace("127.0.0.1", "localhost")).mint(KEY)).lifetime == 60.0


async def test_a_resolver_that_leads_localhost_elsewhere_gets_no_secret(
    issuer_at: IssuerAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is checked after connecting, before anything is sent: a resolver may answer differently each time."""
    got = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)

    def is_loopback(address: str) -> bool:
        return address != "127.0.0.1"

    monkeypatch.setattr("mintonce_server.issuer.http.is_loopback", is_loopback)
    with pytest.raises(IssuerUnavailable, match="localhost is not this machine"):
        await issuer_at(f"HTTP://localhost:{server.sockets[0].getsockname()[1]}/").mint(KEY)
    assert await got == b""
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "169.254.169.254", "fe80::1", "::ffff:192.0.2.1"])
async def test_addresses_that_are_not_this_machine(address: str) -> None:
    """They are disconnected."""
    stream = Stream(address)
    with pytest.raises(NotThisMachine):
        await require_loopback(stream)
    assert stream.closed


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
async def test_addresses_of_this_machine(address: str) -> None:
    """They are accepted."""
    stream = Stream(address)
    await require_loopback(stream)
    assert not stream.closed


@pytest.mark.parametrize("scheme", ["http", "HTTP", "hTtP"])
async def test_a_proxy_sees_no_plain_request_for_this_machine(issuer_at: IssuerAt, scheme: str) -> None:
    """It would get the secret unencrypted, and `localhost` would be the proxy itself. Schemes have no case."""
    sources = EndpointSources(proxy=lambda _: Secret("http://127.0.0.1:1"))
    with pytest.raises(IssuerUnavailable, match="a proxy would see the secret"):
        await issuer_at(f"{scheme}://localhost:1/oauth/token", sources=sources).mint(KEY)


async def test_the_whole_of_a_mint_has_one_deadline(issuer_at: IssuerAt) -> None:
    """A second secret gets the time that the first one left."""
    posts = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal posts
        posts += 1
        if posts == 1:
            await says(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")(reader, writer)
        else:
            await reader.read()

    credentials = ClientCredentials(CLIENT_ID, client_secrets=lambda: (Secret("wrong"), Secret(SECRET)))
    async with asyncio.timeout(3.0), peer(slow) as url:
        with pytest.raises(IssuerUnavailable, match="did not answer"):
            await issuer_at(url, credentials, timeout=0.3).mint(KEY)
    assert posts == 2
