"""A small HTTP server with a function for its answers, and proxies in front of it: real sockets."""

import asyncio
import base64
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Reply = tuple[int, Mapping[str, str], bytes]
SOCKS_NO_PASSWORD = b"\x05\x01\x00"


@dataclass(frozen=True)
class Request:
    """One request. Header names are lower case; `path` has the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass
class Web:
    """A running server.

    Attributes:
        url: its origin.
        requests: all that came, in order.
        hang_up: close the connection before the answer to these requests, by their number from 0.
        first_bytes: sent before that.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list[Request])
    hang_up: set[int] = field(default_factory=set[int])
    first_bytes: bytes = b""
    connections: int = 0


Handler = Callable[[Request], Reply]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def web(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Web]:
    """Serves on loopback; connections are kept."""
    state = Web()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, state.connections = state.connections, state.connections + 1
        while True:
            request = await _read(reader, connection)
            number = len(state.requests)
            state.requests.append(request)
            if number in state.hang_up:
                writer.write(state.first_bytes)
                break
            writer.write(_bytes(*handler(request)))
            await writer.drain()

    async with _listening(serve, tls) as address:
        state.url = f"http{'s' if tls else ''}://{address}"
        yield state


@asynccontextmanager
async def _listening(serve: Serve, tls: ssl.SSLContext | None) -> AsyncGenerator[str]:
    """Accepts connections on loopback. Gives the address, and ends what is still served at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _read(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body, connection)


def _bytes(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {text}" for name, text in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Proxy:
    """A running proxy. `targets`: what it was asked to connect to, as HOST:PORT."""

    address: str = ""
    targets: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def connect_proxy(credentials: str | None = None, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Proxy]:
    """An HTTP proxy that only knows CONNECT, and wants these credentials (USER:PASSWORD) if any."""
    wanted = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy) -> str | None:
        request = await _read(reader, 0)
        if wanted is not None and request.headers.get("proxy-authorization") != wanted:
            writer.write(b"HTTP/1.1 407 A secret reason\r\nContent-Length: 0\r\n\r\n")
            return None
        if request.method != "CONNECT":
            writer.write(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
            return None
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        proxy.targets.append(request.path)
        return request.path

    async with _proxy(greet, tls) as proxy:
        yield proxy


@asynccontextmanager
async def socks_proxy() -> AsyncGenerator[Proxy]:
    """A SOCKS5 proxy (RFC 1928) without a password."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy) -> str | None:
        assert await reader.readexactly(3) == SOCKS_NO_PASSWORD
        writer.write(b"\x05\x00")
        _, command, _, kind = await reader.readexactly(4)
        assert command == 1
        if kind == 1:
            host = ".".join(map(str, await reader.readexactly(4)))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        proxy.targets.append(f"{host}:{port}")
        return f"{host}:{port}"

    async with _proxy(greet) as proxy:
        yield proxy


Greet = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Proxy], Awaitable[str | None]]


@asynccontextmanager
async def _proxy(greet: Greet, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Proxy]:
    state = Proxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = await greet(reader, writer, state)
        if target is not None:
            await _relay(reader, writer, target)

    async with _listening(serve, tls) as state.address:
        yield state


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
    """To this machine, whatever host the target names: tests use names that exist nowhere."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
    try:
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    finally:
        far_writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()
