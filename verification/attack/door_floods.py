"""Floods at the token endpoint: handshakes, connections, bodies and heads without an end, guessed keys."""

import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

WORKERS: Final = 50
HANDSHAKES: Final = 500
"""A second."""
CONNECTIONS: Final = 1500
"""More than one address may have."""
SLOW: Final = 300

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
DoorFlood = Callable[[str, str, float], Awaitable[int]]
"""As floods.Flood; the target is the endpoint's URL."""


async def connect(url: str, address: str = "127.0.0.1") -> Streams:
    """From this address of loopback."""
    where, trusting = urlsplit(url), None
    if where.scheme == "https":
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # a flooder does not mind
    return await asyncio.open_connection(where.hostname, where.port, ssl=trusting, local_addr=(address, 0))


def post(key: str, audience: str, *, more: str = "") -> bytes:
    """A request whose connection goes on."""
    parameters = {"grant_type": "client_credentials", "client_id": "default", "audience": audience}
    body = urlencode(parameters | {"client_secret": key})
    lines = ("POST /oauth/token HTTP/1.1", "Host: localhost", "Content-Type: application/x-www-form-urlencoded")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode() + more.encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next one: its status and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0])
    return int(head[9:12]), await reader.readexactly(length)


async def guessed_keys(url: str, key: str, seconds: float) -> int:
    """On connections that are kept: none is accepted."""
    numbers, until = itertools.count(), time.monotonic() + seconds

    async def work() -> None:
        while time.monotonic() < until:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await connect(url)
                with contextlib.closing(writer):
                    while time.monotonic() < until:
                        writer.write(post(f"mok_{next(numbers)}{key[8:]}", "https://flooded.example.com/"))
                        await answer(reader)

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())
    return next(numbers)


async def handshakes(url: str, key: str, seconds: float) -> int:
    """New connections of TLS, up to 500 a second, which say nothing more."""
    del key
    count, began = 0, time.monotonic()

    async def shake() -> None:
        with contextlib.suppress(OSError):
            _, writer = await connect(url)
            writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        while (gone := time.monotonic() - began) < seconds:
            while count < gone * HANDSHAKES:
                group.create_task(shake())
                count += 1
            await asyncio.sleep(0.01)
    return count


async def connections(url: str, key: str, seconds: float) -> int:
    """Opened and kept, from one address; each that is closed is opened again."""
    del key
    opened: list[asyncio.StreamWriter] = []
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        opened = [writer for writer in opened if not writer.is_closing()]
        for _ in range(min(50, CONNECTIONS - len(opened))):
            with contextlib.suppress(OSError):
                opened.append((await connect(url))[1])
                count += 1
        await asyncio.sleep(0.02)
    for writer in opened:
        writer.transport.abort()
    return count


async def slow_bodies(url: str, key: str, seconds: float) -> int:
    """A head, and then a byte of its body now and then."""
    head = post(key, "https://flooded.example.com/").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return await _slow(url, head, b"g", seconds)


async def endless_heads(url: str, key: str, seconds: float) -> int:
    """Header after header, as fast as they are taken."""
    del key
    return await _slow(
        url, b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\n", b"X: " + b"a" * 4000 + b"\r\n", seconds
    )


async def unread_answers(url: str, key: str, seconds: float) -> int:
    """Requests one behind the other, whose answers are not read."""
    return await _slow(url, b"", post(key, "https://flooded.example.com/") * 20, seconds)


async def _slow(url: str, first: bytes, then: bytes, seconds: float) -> int:
    until, count = time.monotonic() + seconds, 0
    writers: list[asyncio.StreamWriter] = []
    while time.monotonic() < until:
        writers = [writer for writer in writers if not writer.is_closing()]
        while len(writers) < SLOW and time.monotonic() < until:
            with contextlib.suppress(OSError):
                _, writer = await connect(url)
                writer.write(first)
                writers.append(writer)
                count += 1
        for writer in writers:
            if writer.transport.get_write_buffer_size() < 1 << 16:
                writer.write(then)
        await asyncio.sleep(0.05)
    for writer in writers:
        writer.transport.abort()
    return count


ALL: Final[Mapping[str, DoorFlood]] = {
    "token endpoint: guessed API keys": guessed_keys,
    "token endpoint: connections": connections,
    "token endpoint: slow bodies": slow_bodies,
    "token endpoint: heads without an end": endless_heads,
    "token endpoint: answers that are not read": unread_answers,
}
WITH_TLS: Final[Mapping[str, DoorFlood]] = {"token endpoint: TLS handshakes": handshakes}
EACH: Final[Mapping[str, DoorFlood]] = {**ALL, **WITH_TLS}
