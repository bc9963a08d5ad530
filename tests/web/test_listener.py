"""The HTTP port as hostile and careless peers find it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.errors import PermissionDenied, StoreUnavailable, Unauthenticated
from mintonce_server.web.listener import ListenerLimits, WebListener
from mintonce_server.web.pages import LIMITS, Handler, Pages


async def hello(_: web.BaseRequest) -> web.Response:
    return web.Response(text="hello\n")


WORKING = asyncio.Barrier(LIMITS.connections + 1)


async def slow(_: web.BaseRequest) -> web.Response:
    await WORKING.wait()
    await asyncio.sleep(60.0)
    return web.Response()


async def refuses(request: web.BaseRequest) -> web.Response:
    match request.query_string:
        case "who":
            raise Unauthenticated("the call has no credentials", remedy="Send some.")
        case "may":
            raise PermissionDenied("not you", remedy="Ask for a rule.")
        case "store":
            raise StoreUnavailable("the store is away", remedy="Wait.")
        case _:
            raise ValueError("a secret detail")


def pages(routes: Mapping[str, Handler], listen: str = "127.0.0.1:0", limits: ListenerLimits = LIMITS) -> WebListener:
    clock = SystemClock()
    hosts = None if listen.startswith("unix:") else lambda: frozenset({"mintonce.example.com"})
    return WebListener(listen, Pages(routes, clock, hosts), clock, limits, socket_mode=0o600)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    """Of a listener with two pages."""
    server = pages({"/hello": hello, "/refuses": refuses, "/slow": slow})
    url = await server.start()
    yield int(url.rpartition(":")[2])
    await server.stop(0.0)


async def exchange(port: int, sent: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(10.0):
        answer = await reader.read()
    writer.close()
    return answer


async def get(port: int, target: str, *, host: str = "localhost", method: str = "GET", more: str = "") -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
    return await exchange(port, head.encode())


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_page_is_not_stored_framed_or_guessed_at(port: int) -> None:
    """Whatever the handler says: these headers are on each answer."""
    answer = await get(port, "/hello")
    assert status(answer) == 200
    assert answer.endswith(b"hello\n")
    for line in (b"Cache-Control: no-store", b"X-Content-Type-Options: nosniff", b"frame-ancestors 'none'"):
        assert line in answer
    assert b"aiohttp" not in answer


async def test_head_is_get_without_the_body(port: int) -> None:
    """As monitors ask."""
    answer = await get(port, "/hello", method="HEAD")
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
async def test_nothing_can_be_changed(port: int, method: str) -> None:
    """Only GET and HEAD."""
    assert status(await get(port, "/hello", method=method)) == 405


@pytest.mark.parametrize("host", ["127.0.0.1:9464", "[::1]:9464", "localhost", "MINTONCE.example.com:443", "10.1.2.3"])
async def test_names_of_this_server_are_answered(port: int, host: str) -> None:
    """A name of the certificate, an address, localhost."""
    assert status(await get(port, "/hello", host=host)) == 200


@pytest.mark.parametrize("host", ["evil.example.com", "localhost.evil.example.com", "mintonce.example.com.evil", ""])
async def test_another_name_gets_nothing(port: int, host: str) -> None:
    """A web page whose owner lets its name point here would else read the answer."""
    assert status(await get(port, "/hello", host=host)) == 421


@pytest.mark.parametrize(("why", "code"), [("who", 401), ("may", 403), ("store", 503), ("bug", 500)])
async def test_a_handlers_error_is_an_answer(port: int, why: str, code: int) -> None:
    """Typed errors say what to do; of a bug the caller learns nothing."""
    answer = await get(port, f"/refuses?{why}")
    assert status(answer) == code
    assert b"a secret detail" not in answer
    assert (b"WWW-Authenticate" in answer) == (code == 401)


async def test_a_request_with_a_body_is_refused(port: int) -> None:
    """Nothing here reads one."""
    sent = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    assert status(await exchange(port, sent)) == 413


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    """Each with its own answer."""
    one = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await exchange(port, one * 3 + last)
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 200, 200, 404]


async def test_idle_connections_keep_nobody_out(port: int) -> None:
    """When there are too many, the one that has been idle longest goes."""
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMITS.connections)]
    for reader, writer in idle:
        writer.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(10.0):
            await reader.readuntil(b"hello\n")
    assert status(await get(port, "/hello")) == 200
    async with asyncio.timeout(10.0):
        assert await idle[0][0].read() == b""
    for _, writer in idle:
        writer.close()


async def test_connections_that_say_nothing_keep_nobody_out(port: int) -> None:
    """Silent ones and half heads go first, before they time out."""
    peers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * LIMITS.connections)]
    for _, writer in peers[::2]:
        writer.write(b"GET /hello HTT")
    assert status(await get(port, "/hello")) == 200
    async with asyncio.timeout(10.0):
        for reader, _ in peers[: LIMITS.connections]:
            with suppress(ConnectionError):
                assert await reader.read() == b""
    for _, writer in peers:
        writer.close()


async def test_a_surplus_connection_is_closed_when_each_one_is_at_work(port: int) -> None:
    """None of them holds a descriptor for longer than its answer takes."""
    at_work = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMITS.connections)]
    for _, writer in at_work:
        writer.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(10.0):
        await WORKING.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(10.0):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    for _, each in [*at_work, (reader, writer)]:
        each.close()


async def test_silent_connections_are_closed(port: int) -> None:
    """Half a head is no request: peers that send one hold a connection for a bounded time."""
    server = pages({"/hello": hello}, limits=replace(LIMITS, idle_seconds=0.3))
    own = int((await server.start()).rpartition(":")[2])
    try:
        for sent in (b"", b"GET /hello HTT"):
            assert await exchange(own, sent) == b""
    finally:
        await server.stop(0.0)


async def test_a_unix_socket_goes_with_its_listener_and_another_ones_stays(tmp_path: Path) -> None:
    """A server that was started again before the former one ended has put its own in the place."""
    path = tmp_path / "http.sock"
    former, present = (pages({"/hello": hello}, f"unix:{path}") for _ in range(2))
    await former.start()
    await present.start()
    await former.stop(0.0)
    assert path.exists()
    await present.stop(0.0)
    assert not path.exists()


async def test_a_unix_socket_is_private(tmp_path: Path) -> None:
    """Its mode says who may connect."""
    path = tmp_path / "http.sock"
    server = pages({"/hello": hello}, f"unix:{path}")
    await server.start()
    try:
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /hello HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
        assert status(await reader.read()) == 200
        writer.close()
    finally:
        await server.stop(0.0)
