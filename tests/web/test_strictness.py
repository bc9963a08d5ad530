"""Raw bytes at both sites of the HTTP server: what could be read in two ways gets one refusal, and the connection ends.

A proxy in front reads the same bytes. Where the two disagree about where a request ends, one caller's bytes become
another caller's request (RFC 9112, section 11.2).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from mintonce_server.common.clock import SystemClock
from mintonce_server.web.listener import WebListener
from mintonce_server.web.pages import LIMITS, Pages
from support.door import LIMITS as DOOR_LIMITS
from support.door import Reply, asked, door, form, replies
from support.house import house
from support.surroundings import issuer_with_log

BODY: Final = form(asked()).partition(b"\r\n\r\n")[2]
LINE: Final = b"POST /oauth/token HTTP/1.1"
HOST: Final = b"Host: localhost"
FORM: Final = b"Content-Type: application/x-www-form-urlencoded"
LENGTH: Final = b"Content-Length: %d" % len(BODY)
CHUNKED: Final = b"Transfer-Encoding: chunked"
CHUNKS: Final = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def message(*lines: bytes, first: bytes = LINE, body: bytes = BODY, end: bytes = b"\r\n") -> bytes:
    return end.join([first, *lines, b"", b""]) + body


MALFORMED: Final = {
    "a length, and chunks": message(HOST, FORM, LENGTH, CHUNKED, body=CHUNKS),
    "chunks, and a length": message(HOST, FORM, CHUNKED, LENGTH, body=CHUNKS),
    "two lengths that differ": message(HOST, FORM, LENGTH, b"Content-Length: 5"),
    "two lengths that agree": message(HOST, FORM, LENGTH, LENGTH),
    "a list of lengths": message(HOST, FORM, b"Content-Length: 5, 5"),
    "a length with a sign": message(HOST, FORM, b"Content-Length: +%d" % len(BODY)),
    "a length below zero": message(HOST, FORM, b"Content-Length: -1"),
    "a hexadecimal length": message(HOST, FORM, b"Content-Length: 0x10"),
    "a length with an underscore": message(HOST, FORM, b"Content-Length: 5_8"),
    "an empty length": message(HOST, FORM, b"Content-Length: "),
    "a length with a blank in it": message(HOST, FORM, b"Content-Length: 5 8"),
    "a length beyond 64 bits": message(HOST, FORM, b"Content-Length: 99999999999999999999999"),
    "a length in other digits": message(HOST, FORM, b"Content-Length: \xd9\xa5"),
    "lines that end with LF": message(HOST, FORM, LENGTH, end=b"\n"),
    "one line that ends with LF": message(HOST + b"\n" + FORM, LENGTH),
    "a head that ends with LF": message(HOST, FORM, LENGTH).replace(b"\r\n\r\n", b"\r\n\n"),
    "a bare CR in a header": message(HOST, FORM, LENGTH, b"X-A: b\rc"),
    "a blank before the colon": message(HOST, FORM, LENGTH, b"X-A : 1"),
    "a blank before the colon of the coding": message(HOST, FORM, LENGTH, b"Transfer-Encoding : chunked"),
    "a folded header": message(HOST, FORM, LENGTH, b"X-A: 1", b" 2"),
    "a header folded with a tab": message(HOST, FORM, LENGTH, b"X-A: 1", b"\t2"),
    "a blank before the first header": message(b" " + HOST, FORM, LENGTH),
    "an unknown coding": message(HOST, FORM, b"Transfer-Encoding: gzip"),
    "a coding before chunked": message(HOST, FORM, b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "a coding behind chunked": message(HOST, FORM, b"Transfer-Encoding: chunked, gzip", body=CHUNKS),
    "the coding identity": message(HOST, FORM, b"Transfer-Encoding: identity", LENGTH),
    "a coding that resembles chunked": message(HOST, FORM, b"Transfer-Encoding: xchunked", body=CHUNKS),
    "chunked twice": message(HOST, FORM, b"Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "chunked in two headers": message(HOST, FORM, CHUNKED, CHUNKED, body=CHUNKS),
    "chunked in quotes": message(HOST, FORM, b'Transfer-Encoding: "chunked"', body=CHUNKS),
    "chunks in HTTP/1.0": message(HOST, FORM, CHUNKED, first=b"POST /oauth/token HTTP/1.0", body=CHUNKS),
    "no host": message(FORM, LENGTH),
    "two hosts": message(HOST, b"Host: other", FORM, LENGTH),
    "a host with a path": message(b"Host: localhost/x", FORM, LENGTH),
    "a host with a user": message(b"Host: x@localhost", FORM, LENGTH),
    "a list of hosts": message(b"Host: localhost, other", FORM, LENGTH),
    "a host that is not ASCII": message(b"Host: \xff", FORM, LENGTH),
    "a NUL in a header": message(HOST, FORM, LENGTH, b"X-A: a\0b"),
    "a control character in a header": message(HOST, FORM, LENGTH, b"X-A: a\x01b"),
    "a NUL in a name": message(HOST, FORM, LENGTH, b"X\0A: b"),
    "a header without a colon": message(HOST, FORM, LENGTH, b"XA"),
    "a header without a name": message(HOST, FORM, LENGTH, b": a"),
    "a name with a blank": message(HOST, FORM, LENGTH, b"X A: a"),
    "a name that is not ASCII": message(HOST, FORM, LENGTH, b"X\xc3\xa4: a"),
    "a target that is not ASCII": message(HOST, FORM, LENGTH, first=b"POST /oauth/token?\xff HTTP/1.1"),
    "a target with a blank": message(HOST, FORM, LENGTH, first=b"POST /oauth/token? a HTTP/1.1"),
    "a tab in the first line": message(HOST, FORM, LENGTH, first=b"POST\t/oauth/token HTTP/1.1"),
    "a method that is none": message(HOST, FORM, LENGTH, first=b'P"ST /oauth/token HTTP/1.1'),
    "a method in small letters": message(HOST, FORM, LENGTH, first=b"post /oauth/token HTTP/1.1"),
    "a protocol in small letters": message(HOST, FORM, LENGTH, first=b"POST /oauth/token http/1.1"),
    "HTTP/0.9": message(HOST, FORM, LENGTH, first=b"POST /oauth/token HTTP/0.9"),
    "no version": message(HOST, FORM, LENGTH, first=b"POST /oauth/token"),
    "HTTP/1.2": message(HOST, FORM, LENGTH, first=b"POST /oauth/token HTTP/1.2"),
    "HTTP/1.10": message(HOST, FORM, LENGTH, first=b"POST /oauth/token HTTP/1.10"),
    "HTTP/2.0 as a version": message(HOST, FORM, LENGTH, first=b"POST /oauth/token HTTP/2.0"),
    "HTTP/2 without being asked": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS where there is none": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no HTTP at all": bytes(range(256)),
    "too many headers": message(HOST, FORM, LENGTH, *(b"X-%d: a" % i for i in range(200))),
}
"""A request that ends in one of these is refused with 400."""
BAD_CHUNKS: Final = {
    "lines that end with LF": b"%x\n%s\n0\n\n" % (len(BODY), BODY),
    "an extension that ends with LF": b"%x;\n\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    "a size with a sign": b"+%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    "a size with a prefix": b"0x%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    "a size below zero": b"-5\r\n%s\r\n0\r\n\r\n" % BODY,
    "a size beyond 64 bits": b"ffffffffffffffffff\r\n%s\r\n0\r\n\r\n" % BODY,
    "a size that is too small": b"5\r\n%s\r\n0\r\n\r\n" % BODY,
    "a length among the trailers": b"%x\r\n%s\r\n0\r\nContent-Length: 5\r\n\r\n" % (len(BODY), BODY),
}
TOO_LARGE: Final = {
    "a huge header in one piece": message(HOST, FORM, LENGTH, b"X-A: " + b"a" * 20_000),
    "many headers that are huge together": message(HOST, FORM, LENGTH, *(b"X: " + b"a" * 500 for _ in range(40))),
    "a huge target": message(HOST, FORM, LENGTH, first=b"POST /oauth/token?" + b"a" * 20_000 + b" HTTP/1.1"),
}


@asynccontextmanager
async def token_endpoint(directory: Path) -> AsyncGenerator[int]:
    with issuer_with_log(directory / "posts", 3600.0) as issuer:
        async with house(issuer.token_url) as replica, door(replica.calls) as opened:
            yield opened.port


@asynccontextmanager
async def pages(_: Path) -> AsyncGenerator[int]:
    async def page(_: web.BaseRequest) -> web.Response:
        return web.Response(text="a page\n")

    clock = SystemClock()
    site = Pages({"/oauth/token": page}, clock, frozenset)
    listener = WebListener("127.0.0.1:0", site, clock, LIMITS, socket_mode=0o600)
    url = await listener.start()
    try:
        yield int(url.rpartition(":")[2])
    finally:
        await listener.stop(0.0)


SITES: Final = {"token endpoint": token_endpoint, "pages": pages}


async def answers(port: int, sent: bytes) -> list[Reply]:
    """All, until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(10.0):
            return replies(await reader.read())
    finally:
        writer.close()


@pytest.mark.parametrize("site", SITES)
async def test_what_can_be_read_in_two_ways_is_refused_once_and_the_connection_ends(site: str, tmp_path: Path) -> None:
    """Whichever site is behind it. What comes behind is not read as a request of its own."""
    wrong: dict[str, object] = {}
    async with SITES[site](tmp_path) as port:
        for name, sent in MALFORMED.items():
            got = await answers(port, sent + message(HOST, FORM, LENGTH))
            if [reply.status for reply in got] != [400] or got[0].headers["x-content-type-options"] != "nosniff":
                wrong[name] = got
    assert not wrong


async def test_the_token_endpoint_refuses_in_json(tmp_path: Path) -> None:
    """As libraries of OAuth read it. Nothing of the request is repeated."""
    async with token_endpoint(tmp_path) as port:
        (reply,) = await answers(port, message(HOST, FORM, LENGTH, b"X-A : canary"))
    assert reply.said == {"error": "invalid_request", "error_description": "the request cannot be read"}
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", BAD_CHUNKS)
async def test_chunks_that_can_be_read_in_two_ways_are_refused(name: str, tmp_path: Path) -> None:
    """No token comes of them."""
    async with token_endpoint(tmp_path) as port:
        got = await answers(port, message(HOST, FORM, CHUNKED, body=BAD_CHUNKS[name]))
    assert [reply.status for reply in got] == [400]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_huge_head_is_refused_even_in_one_piece(site: str, name: str, tmp_path: Path) -> None:
    """All headers count together, not each of them."""
    async with SITES[site](tmp_path) as port:
        got = await answers(port, TOO_LARGE[name])
    assert [reply.status for reply in got] == [431]


@pytest.mark.parametrize(("site", "limit"), [("token endpoint", DOOR_LIMITS.head), ("pages", LIMITS.head)])
async def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(
    site: str, limit: int, tmp_path: Path
) -> None:
    """A peer that sends header after header is answered when there are too many bytes, and not at their end."""
    async with SITES[site](tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + b"\r\n" + HOST + b"\r\n")
        for _ in range(1 + limit // 1000):
            writer.write(b"X: " + b"a" * 1000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(5.0):
            assert [reply.status for reply in replies(await reader.read())] == [431]
        writer.close()


async def test_trailers_are_no_headers(tmp_path: Path) -> None:
    """What comes behind the last chunk says neither who calls nor what the body is."""
    async with token_endpoint(tmp_path) as port:
        trailers = b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Encoding: gzip\r\n"
        body = b"%x;extension\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, trailers)
        (reply,) = await answers(port, message(HOST, FORM, CHUNKED, b"Connection: close", body=body))
    assert reply.status == 200


@pytest.mark.parametrize(
    "sent",
    [
        message(HOST, FORM, LENGTH, b"Connection: close"),
        message(HOST, FORM, CHUNKED, b"Connection: close", body=CHUNKS),
        message(HOST, FORM, b"transfer-encoding: CHUNKED", b"Connection: close", body=CHUNKS),
        message(FORM, LENGTH, first=b"POST /oauth/token HTTP/1.0"),
        message(HOST, FORM, LENGTH, first=b"POST /oauth/token HTTP/1.0"),
        message(HOST, FORM, LENGTH, b"X-A: \xff\xfe", b"Connection: close"),
        message(HOST, FORM, LENGTH, b"X-A: " + b"a" * 15_000, b"Connection: close"),
        message(b"Host: [::1]:8443", FORM, LENGTH, b"Connection: close"),
        message(b"Host: ", FORM, LENGTH, b"Connection: close"),
        b"\r\n" + message(HOST, FORM, LENGTH, b"Connection: close"),
    ],
    ids=["length", "chunks", "CHUNKS", "1.0", "1.0 with a host", "obs-text", "a large head", "IPv6", "no name", "CRLF"],
)
async def test_what_everybody_reads_alike_is_served(sent: bytes, tmp_path: Path) -> None:
    """So that the refusals above do not come of something else."""
    async with token_endpoint(tmp_path) as port:
        got = await answers(port, sent)
    assert [reply.status for reply in got] == [200]
