"""TLS of the HTTP port: peers that connect and say nothing use up no descriptors, and keep nobody out."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop
from aiohttp import web

from mintonce_server.api import options
from mintonce_server.common.clock import SystemClock
from mintonce_server.web import listener
from mintonce_server.web.handshakes import MOST, TlsServer
from mintonce_server.web.listener import WebListener
from mintonce_server.web.pages import LIMITS, Pages
from support.certificates import Authority
from support.sockets import bare_connection, is_open
from support.waiting import wait_until

REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Port:
    """Of a listener with one page. `context`: of a client that trusts it."""

    number: int
    context: ssl.SSLContext

    async def get(self) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number, ssl=self.context)
        writer.write(REQUEST)
        async with asyncio.timeout(10.0):
            answer = await reader.read()
        writer.close()
        return answer


async def hello(_: web.BaseRequest) -> web.Response:
    return web.Response(text="hello\n")


SITE = Pages({"/hello": hello}, SystemClock(), frozenset)


def server_context(authority: Authority) -> ssl.SSLContext:
    issued = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


@pytest_asyncio.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 60.0)  # no test here waits for that
    authority = Authority(tmp_path)
    server = WebListener(
        "127.0.0.1:0", SITE, SystemClock(), LIMITS, socket_mode=0o600, context=server_context(authority)
    )
    number = int((await server.start()).rpartition(":")[2])
    yield Port(number, ssl.create_default_context(cafile=authority.ca))
    await server.stop(0.0)


def test_a_handshake_has_as_long_as_with_grpc() -> None:
    """A Java program that has just started on a busy machine needs more than 5 s. Who is slow is slow at both ports."""
    assert listener.HANDSHAKE_SECONDS >= options.HANDSHAKE_SECONDS


async def test_of_many_handshakes_the_oldest_are_ended(port: Port) -> None:
    """Only so many bare connections of one address stay, and the page is answered beside them."""
    flood: list[socket.socket] = []
    try:
        most = MOST // 4
        for _ in range(2 * most + 50):
            flood.append(bare_connection(port.number))
            await asyncio.sleep(0)
        await wait_until(lambda: sum(map(is_open, flood)) <= most)
        assert [is_open(connection) for connection in flood] == [False] * (most + 50) + [True] * most
        assert (await port.get()).endswith(b"hello\n")
    finally:
        for connection in flood:
            connection.close()


async def test_a_peer_that_speaks_no_tls_is_left(port: Port) -> None:
    """The others are answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
    writer.write(REQUEST)
    async with asyncio.timeout(10.0):
        assert not (await reader.read()).startswith(b"HTTP")
    writer.close()
    assert (await port.get()).endswith(b"hello\n")


async def test_a_handshake_that_takes_too_long_is_ended() -> None:
    """After the listener's five seconds; here sooner."""
    door = TlsServer(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), 0.1, asyncio.Protocol)
    reader, writer = await asyncio.open_connection("127.0.0.1", await door.start("127.0.0.1", 0))
    async with asyncio.timeout(10.0):
        assert await reader.read() == b""
    writer.close()
    await door.stop()


async def test_a_listener_that_stops_ends_them(tmp_path: Path) -> None:
    """None is left behind."""
    server = WebListener(
        "127.0.0.1:0", SITE, SystemClock(), LIMITS, socket_mode=0o600, context=server_context(Authority(tmp_path))
    )
    number = int((await server.start()).rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    await wait_until(lambda: any(task.get_name() == "TLS handshake" for task in asyncio.all_tasks()))
    await server.stop(0.0)
    async with asyncio.timeout(10.0):
        assert await reader.read() == b""
    writer.close()


def test_a_request_that_comes_with_the_handshakes_last_words_is_answered(tmp_path: Path) -> None:
    """In one packet, on both event loops."""
    authority = Authority(tmp_path)

    async def ask() -> bytes:
        server = WebListener(
            "127.0.0.1:0", SITE, SystemClock(), LIMITS, socket_mode=0o600, context=server_context(authority)
        )
        number = int((await server.start()).rpartition(":")[2])
        try:
            return await asyncio.to_thread(_in_one_packet, number, ssl.create_default_context(cafile=authority.ca))
        finally:
            await server.stop(0.0)

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(ask()).endswith(b"hello\n")


def _in_one_packet(number: int, context: ssl.SSLContext) -> bytes:
    """Sends the client's last message of the handshake together with the request."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", number), timeout=10.0) as connection:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        tls.write(REQUEST)
        connection.sendall(outgoing.read())
        answer = b""
        while True:
            try:
                if not (part := tls.read()):
                    return answer
                answer += part
            except ssl.SSLWantReadError:
                if not (received := connection.recv(65536)):
                    return answer
                incoming.write(received)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return answer
