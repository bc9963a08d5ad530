"""Peers that hang, drip, flood, redirect and send nonsense."""

import asyncio
import gzip
import logging
import traceback
import zlib
from typing import NoReturn

import pytest

from mintonce_server.core.errors import IssuerError, IssuerMalformed, IssuerRefused, IssuerUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.issuer import ClientCredentials, EndpointSources
from support.endpoints import CLIENT_ID, SECRET, IssuerAt
from support.peers import Script, answers, drips, floods, hangs, peer, read_request, says

KEY = TokenKey.of("orders", "https://api.example.com/")
GOOD = b'{"access_token":"a","token_type":"Bearer","expires_in":60}'
LEAK = "l3aked-text"


async def refused(issuer_at: IssuerAt, script: Script, **options: object) -> IssuerError:
    async with peer(script) as url:
        with pytest.raises(IssuerError) as caught:
            await issuer_at(url, **options).mint(KEY)
        return caught.value


@pytest.mark.parametrize("script", [hangs, drips], ids=["hangs", "drips"])
async def test_the_deadline_is_for_all_of_it(issuer_at: IssuerAt, script: Script) -> None:
    """A peer that sends a byte now and then never exceeds a deadline that restarts with each byte."""
    async with asyncio.timeout(3.0):  # far from the 10 s that would count otherwise
        error = await refused(issuer_at, script, timeout=0.2)
    assert type(error) is IssuerUnavailable
    assert isinstance(error.__cause__, TimeoutError)


async def test_a_flood_is_cut_off(issuer_at: IssuerAt) -> None:
    """Long before the deadline, and before it fills the memory."""
    error = await refused(issuer_at, floods)
    assert type(error) is IssuerMalformed
    assert "larger than" in str(error)


async def test_the_largest_answer_is_taken_and_one_byte_more_is_not(issuer_at: IssuerAt) -> None:
    """64 KiB."""
    body = GOOD + b" " * (65536 - len(GOOD))
    async with peer(answers(200, body)) as url:
        assert (await issuer_at(url).mint(KEY)).lifetime == 60.0
    assert "larger than" in str(await refused(issuer_at, answers(200, body + b" ")))


async def test_a_large_error_page_does_not_hide_its_status(issuer_at: IssuerAt) -> None:
    """The remedy depends on the status, not on the page."""
    error = await refused(issuer_at, answers(401, b"<p>" * 40_000))
    assert type(error) is IssuerRefused


@pytest.mark.parametrize("packed", [gzip.compress(GOOD), zlib.compress(GOOD)], ids=["gzip", "deflate"])
async def test_a_compressed_answer_is_decompressed(issuer_at: IssuerAt, packed: bytes) -> None:
    """Some proxies compress whatever was requested."""
    encoding = "gzip" if packed[:2] == b"\x1f\x8b" else "deflate"
    async with peer(answers(200, packed, Content_Encoding=encoding)) as url:
        assert (await issuer_at(url).mint(KEY)).lifetime == 60.0


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (gzip.compress(GOOD + b" " * 50_000_000), "gzip", "decompresses to more"),
        (gzip.compress(GOOD)[:-12], "gzip", "incomplete"),
        (b"not packed at all", "gzip", "cannot be decompressed"),
        (GOOD, "br", "not requested"),
        (gzip.compress(gzip.compress(GOOD)), "gzip, gzip", "not requested"),
    ],
    ids=["bomb", "cut", "lie", "unknown", "twice"],
)
async def test_a_badly_compressed_answer_is_malformed(
    issuer_at: IssuerAt, body: bytes, encoding: str, why: str
) -> None:
    """A bomb of 50 MB in 49 kB is never decompressed."""
    error = await refused(issuer_at, answers(200, body, Content_Encoding=encoding))
    assert type(error) is IssuerMalformed
    assert why in str(error)


async def test_redirects_are_not_followed(issuer_at: IssuerAt) -> None:
    """The secret would be sent along."""
    followed = asyncio.Event()

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        followed.set()

    async with peer(elsewhere) as other:
        error = await refused(issuer_at, answers(307, Location=other))
    assert type(error) is IssuerMalformed
    assert not followed.is_set()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 64,
        b"SSH-2.0-" + LEAK.encode() + b"\r\n",
        b"HTTP/1.1 abc " + LEAK.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + LEAK.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + LEAK.encode(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + LEAK.encode(),
    ],
    ids=["nothing", "zeros", "ssh", "status", "header", "huge-header", "cut", "chunks"],
)
async def test_what_is_no_http_breaks_the_connection(issuer_at: IssuerAt, data: bytes) -> None:
    """And nothing of it shows, not even among the causes in a traceback: the libraries' errors quote their input."""
    error = await refused(issuer_at, says(data))
    assert type(error) is IssuerUnavailable
    shown = "".join(traceback.format_exception(error))
    assert LEAK not in shown
    assert SECRET not in shown


async def test_an_echo_of_the_secret_shows_nowhere(issuer_at: IssuerAt) -> None:
    """A peer may return what it received."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SECRET.encode() + b"\r\n" + SECRET.encode() + b"\r\n\r\n")
        await writer.drain()

    error = await refused(issuer_at, echo)
    assert SECRET not in "".join(traceback.format_exception(error)) + error.remedy


async def test_no_listener_is_unavailable_with_a_cause(issuer_at: IssuerAt) -> None:
    """The message names the host, and nothing else of the URL."""
    async with peer(hangs) as url:
        pass
    with pytest.raises(IssuerUnavailable, match="nothing listens at the port") as caught:
        await issuer_at(url + "?tenant=" + LEAK).mint(KEY)
    assert str(caught.value).endswith("of the issuer at 127.0.0.1")
    assert caught.value.__cause__ is not None
    assert LEAK not in "".join(traceback.format_exception(caught.value))


async def test_no_cookie_travels_from_one_client_to_another(issuer_at: IssuerAt) -> None:
    """Clients share the pool, but nothing else."""
    heads: list[bytes] = []

    async def tempts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Path=/\r\nContent-Length: %d\r\n\r\n" % len(GOOD)
        writer.write(head + GOOD)
        heads.append((await read_request(reader))[0])
        writer.write(head + GOOD)

    async with peer(tempts) as url:
        issuer = issuer_at(url)
        await issuer.mint(KEY)
        await issuer.mint(KEY)
    assert b"POST /oauth/token" in heads[0]
    assert b"cookie" not in heads[0].lower()


async def test_the_environment_changes_nothing(
    issuer_at: IssuerAt, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither a proxy variable nor a .netrc, which would even replace the client's credentials."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with peer(answers(200, GOOD)) as url:
        assert (await issuer_at(url).mint(KEY)).lifetime == 60.0


async def test_a_named_proxy_is_used(issuer_at: IssuerAt) -> None:
    """It gets the whole address."""
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answers(200, GOOD)(reader, writer)
        seen.append(b"here")

    async with peer(proxy) as url:
        sources = EndpointSources(proxy=lambda _: Secret(url.removesuffix("/oauth/token")))
        minted = await issuer_at("http://login.example.invalid/oauth/token", sources=sources, allow_http=True).mint(KEY)
    assert minted.lifetime == 60.0
    assert seen


async def test_a_certificate_authority_that_cannot_be_read_is_named(issuer_at: IssuerAt) -> None:
    """When the endpoint is made, not at the first mint."""
    with pytest.raises(ValueError, match=r"ca_file '/nowhere\.pem'"):
        issuer_at("https://login.example.com/", ca_file="/nowhere.pem")


async def test_an_odd_secret_stays_out_of_header_errors(issuer_at: IssuerAt, caplog: pytest.LogCaptureFixture) -> None:
    """With any secret, Basic credentials are a legal header: no library has a reason to quote them."""
    caplog.set_level(logging.DEBUG)
    credentials = ClientCredentials(CLIENT_ID, Secret("a\r\nb\x00ü:%"))
    async with peer(answers(200, GOOD)) as url:
        assert (await issuer_at(url, credentials, auth="client_secret_basic").mint(KEY)).lifetime == 60.0
    assert "Basic " not in caplog.text


def _no_secret() -> NoReturn:
    raise KeyError(LEAK)


def _no_object(_: bytes) -> NoReturn:
    raise RuntimeError(LEAK)


async def test_a_request_that_cannot_be_made_is_the_issuers_trouble(issuer_at: IssuerAt) -> None:
    """Whatever a client's authentication raises: a typed error without its text."""
    async with peer(answers(200, GOOD)) as url:
        with pytest.raises(IssuerUnavailable, match="cannot be built") as caught:
            await issuer_at(url, ClientCredentials(CLIENT_ID, client_secrets=_no_secret)).mint(KEY)
    assert caught.value.__cause__ is not None
    assert LEAK not in "".join(traceback.format_exception(caught.value))


async def test_an_answer_that_cannot_be_read_is_malformed(issuer_at: IssuerAt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reading it raises."""
    monkeypatch.setattr("mintonce_server.issuer.response.parse_object", _no_object)
    error = await refused(issuer_at, answers(200, GOOD))
    assert type(error) is IssuerMalformed
    assert error.__cause__ is not None
    assert LEAK not in "".join(traceback.format_exception(error))
