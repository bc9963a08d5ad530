"""A server whose TLS breaks after the handshake: real records, spoilt on the way, under HTTP/1.1 and HTTP/2."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, TypeVar

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

T = TypeVar("T")
Version = Literal["http/1.1", "h2"]

CHUNK: Final = 65_536
SETTLE_WITHIN: Final = 5.0


class Tls:
    """The server's end of one connection, whose records come out one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader, self._writer = reader, writer
        self.forgotten = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> str | None:
        """Until it is done; the protocol that was agreed on."""
        await self._until(self._tls.do_handshake)
        return self._tls.selected_alpn_protocol()

    async def read(self) -> bytes:
        """What the client says next, in clear; b"" at its end."""
        try:
            return await self._until(lambda: self._tls.read(CHUNK))
        except (ssl.SSLError, ConnectionError):
            return b""

    def sealed(self, data: bytes) -> bytes:
        """The data as records."""
        self._tls.write(data)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """A proper end of TLS."""
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    async def send(self, raw: bytes) -> None:
        """These very bytes."""
        self._writer.write(raw)
        await self._writer.drain()

    async def _until(self, act: Callable[[], T]) -> T:
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                await self.send(self._outgoing.read())
                data = await self._reader.read(CHUNK)
                if not data:
                    raise ConnectionResetError from None
                self._incoming.write(data)
            else:
                await self.send(self._outgoing.read())
                return done


NOISE: Final = bytes(range(7, 71))
RECORD: Final = b"\x17\x03\x03\x00\x40" + NOISE

Break = Callable[[Tls, bytes], bytes]
"""(connection, right answer in clear) → what is sent instead."""


def _bad_mac(tls: Tls, answer: bytes) -> bytes:
    record = bytearray(tls.sealed(answer))
    record[-1] ^= 1
    return bytes(record)


BREAKS: Final[Mapping[str, Break]] = {
    "no TLS any more": lambda _, __: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a record of noise": lambda _, __: RECORD,
    "a record without end": lambda _, __: b"\x17\x03\x03\xff\xff" + NOISE * 1_100,
    "a wrong MAC": _bad_mac,
    "an alert": lambda _, __: b"\x15\x03\x03\x00\x02\x02\x28",
    "noise in the middle": lambda tls, answer: tls.sealed(answer[: len(answer) * 2 // 3]) + RECORD,
    "an end in the middle": lambda tls, answer: tls.sealed(answer[: len(answer) * 2 // 3]) + tls.goodbye(),
    "noise inside of TLS": lambda tls, _: tls.sealed(NOISE * 10),
    "noise inside, in the middle": lambda tls, answer: tls.sealed(answer[: len(answer) * 2 // 3] + NOISE * 10),
}


class BrokenTls:
    """Answers each request with `body`, or with what `breaks` makes of that.

    Attributes:
        url: where it listens.
        requests: that came.
        breaks: None: all is well.
        left: connections that were broken and that the client then closed.
    """

    def __init__(self, context: ssl.SSLContext, body: bytes) -> None:
        self.url = ""
        self.requests = 0
        self.breaks: Break | None = None
        self.left = 0
        self._context = context
        self._body = body
        self._connections: list[Tls] = []

    def forget(self) -> None:
        """Answer nothing more on the connections that are open now, as if a middlebox had forgotten them."""
        for tls in self._connections:
            tls.forgotten = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        tls = Tls(reader, writer, self._context)
        self._connections.append(tls)
        if await tls.handshake() == "h2":
            await self._http2(tls, reader)
        else:
            await self._http1(tls, reader)

    async def _http1(self, tls: Tls, reader: asyncio.StreamReader) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(self._body)
        said = b""
        while data := await tls.read():
            said += data
            if _is_whole(said):
                said = b""
                if not await self._answer(tls, reader, head + self._body):
                    return

    async def _http2(self, tls: Tls, reader: asyncio.StreamReader) -> None:
        http = H2Connection(H2Configuration(client_side=False))
        http.initiate_connection()
        await tls.send(tls.sealed(http.data_to_send()))
        asked: set[int] = set()
        while data := await tls.read():
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    asked.add(event.stream_id)
                if isinstance(event, StreamEnded) and event.stream_id in asked:
                    await tls.send(tls.sealed(http.data_to_send()))
                    http.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/json")])
                    http.send_data(event.stream_id, self._body, end_stream=True)
                    if not await self._answer(tls, reader, http.data_to_send()):
                        return
            if pending := http.data_to_send():
                await tls.send(tls.sealed(pending))

    async def _answer(self, tls: Tls, reader: asyncio.StreamReader, answer: bytes) -> bool:
        """False: the connection is of no use any more."""
        self.requests += 1
        if tls.forgotten:
            return True
        if self.breaks is None:
            await tls.send(tls.sealed(answer))
            return True
        await tls.send(self.breaks(tls, answer))
        async with asyncio.timeout(SETTLE_WITHIN):
            with suppress(ConnectionError):
                while await reader.read(CHUNK):
                    pass
        self.left += 1
        return False


def _is_whole(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return b"\r\n\r\n" in request and len(body) >= int(fields.get(b"content-length", b"0"))


@asynccontextmanager
async def broken_tls(context: ssl.SSLContext, body: bytes, version: Version = "http/1.1") -> AsyncGenerator[BrokenTls]:
    """Listens until the block is left."""
    context.set_alpn_protocols([version])
    peer = BrokenTls(context, body)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(OSError, TimeoutError, asyncio.CancelledError):
            await peer.serve(reader, writer)
        running.discard(task)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/oauth/token"
    try:
        yield peer
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
