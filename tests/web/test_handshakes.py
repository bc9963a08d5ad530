"""TLS of the HTTP port, as peers find it that open connections and say nothing, or nonsense."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from mintonce_server.common.clock import SystemClock
from mintonce_server.web.handshakes import MOST
from mintonce_server.web.listener import WebListener
from mintonce_server.web.pages import LIMITS, Pages
from support.certificates import Authority
from support.waiting import wait_until

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def hello(_: web.BaseRequest) -> web.Response:
    return web.Response(text="hello\n")


@asynccontextmanager
async def pages(authority: Authority) -> AsyncGenerator[tuple[WebListener, int]]:
    issued = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    clock = SystemClock()
    listener = WebListener(
        "localhost:0", Pages({"/hello": hello}, clock, frozenset), clock, LIMITS, socket_mode=0o600, context=context
    )
    url = await listener.start()
    assert url.startswith("https://localhost:")
    try:
        yield listener, int(url.rpartition(":")[2])
    finally:
        await listener.stop(0.0)


async def ask(authority: Authority, port: int) -> bytes:
    trusting = ssl.create_default_context(cafile=authority.ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    writer.write(HELLO)
    async with asyncio.timeout(10.0):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_page_is_served_over_tls(tmp_path: Path) -> None:
    """At each address of the name."""
    authority = Authority(tmp_path)
    async with pages(authority) as (_, port):
        assert (await ask(authority, port)).endswith(b"hello\n")


async def test_connections_without_a_handshake_keep_nobody_out(tmp_path: Path) -> None:
    """When one address has too many, its oldest one is closed, long before it times out."""
    authority = Authority(tmp_path)
    async with pages(authority) as (_, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST // 4 + 10)]
        assert (await ask(authority, port)).endswith(b"hello\n")
        async with asyncio.timeout(2.0):
            for reader, _ in silent[:10]:
                with suppress(ConnectionError):
                    assert await reader.read() == b""
        assert not silent[-1][0].at_eof()
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), b"\x16\x03\x01\x00\x05\x01"])
async def test_a_handshake_that_fails_leaves_nothing_behind(nonsense: bytes, tmp_path: Path) -> None:
    """Its place is free again at once."""
    authority = Authority(tmp_path)
    async with pages(authority) as (listener, port):
        assert listener._tls is not None
        for _ in range(MOST // 2):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(nonsense)
            writer.close()
        await wait_until(lambda: listener._tls is not None and not listener._tls._under_way)
        assert (await ask(authority, port)).endswith(b"hello\n")


async def test_the_end_of_the_listener_ends_handshakes(tmp_path: Path) -> None:
    """It does not wait for peers that say nothing, and frees the port."""
    authority = Authority(tmp_path)
    async with pages(authority) as (listener, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await wait_until(lambda: listener._tls is not None and bool(listener._tls._under_way))
        async with asyncio.timeout(2.0):
            await listener.stop(0.0)
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    """As in clear."""
    authority = Authority(tmp_path)
    async with pages(authority) as (_, port):
        issued = authority.server("other")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        clock = SystemClock()
        second = WebListener(
            f"127.0.0.1:{port}", Pages({}, clock, frozenset), clock, LIMITS, socket_mode=0o600, context=context
        )
        with pytest.raises(OSError, match="in use"):
            await second.start()
