"""HTTP/2 by hand: a peer that sends what no gRPC library would."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from hpack import Decoder

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
"""Frame types of RFC 9113, section 6."""
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
CANCEL: Final = (8).to_bytes(4, "big")
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET_TOKEN: Final = "/mintonce.v1.TokenService/GetToken"
Field = tuple[str, str]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def header_block(path: str, extra: Iterable[Field] = ()) -> bytes:
    """Literal fields without indexing: the same bytes serve any stream of any connection."""
    fields = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
        ("te", "trailers"), ("content-type", "application/grpc"), *extra,
    ]  # fmt: skip
    return b"".join(literal(name, value) for name, value in fields)


def literal(name: str, value: str) -> bytes:
    """RFC 7541, section 6.2.2."""
    return b"\0" + _string(name.encode()) + _string(value.encode())


def message(data: bytes) -> bytes:
    """As gRPC frames it: not compressed, and its length."""
    return b"\0" + len(data).to_bytes(4, "big") + data


def _string(data: bytes) -> bytes:
    length, more = len(data), bytearray()
    if length < 127:
        return bytes([length]) + data
    length -= 127
    while length >= 128:
        more.append(length % 128 + 128)
        length //= 128
    return b"\x7f" + bytes(more) + bytes([length]) + data


@dataclass
class Peer:
    """One connection. What comes is read at once, and counted; `ended` has the last headers of each stream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    frames: Counter[int] = field(default_factory=Counter[int])
    ended: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    reset: dict[int, int] = field(default_factory=dict[int, int])
    settings: dict[int, int] = field(default_factory=dict[int, int])
    closed: bool = False
    _next: int = 1

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def open(self, block: bytes, *, flags: int = END_HEADERS, body: bytes | None = None) -> int:
        """The headers of a call, with or without its message. Its stream."""
        stream, self._next = self._next, self._next + 2
        self.send(frame(HEADERS, flags, stream, block))
        if body is not None:
            self.finish(stream, body)
        return stream

    def finish(self, stream: int, body: bytes) -> None:
        """The message of a call whose headers were sent."""
        self.send(frame(DATA, END_STREAM, stream, body))

    def cancel(self, stream: int) -> None:
        self.send(frame(RST_STREAM, 0, stream, CANCEL))

    def codes(self) -> Counter[str]:
        """The gRPC statuses so far."""
        return Counter(fields["grpc-status"] for fields in self.ended.values() if "grpc-status" in fields)

    async def read(self) -> None:
        """Until the connection ends."""
        decoder = Decoder()
        try:
            while True:
                head = await self.reader.readexactly(9)
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], head[4], int.from_bytes(head[5:], "big"), payload, decoder)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed = True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, decoder: Decoder) -> None:
        self.frames[kind] += 1
        if kind == SETTINGS and not flags & ACK:
            pairs = [payload[at : at + 6] for at in range(0, len(payload), 6)]
            self.settings |= {int.from_bytes(pair[:2], "big"): int.from_bytes(pair[2:], "big") for pair in pairs}
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == HEADERS:
            self.ended.setdefault(stream, {}).update({str(name): str(value) for name, value in decoder.decode(payload)})
        elif kind == RST_STREAM:
            self.reset[stream] = int.from_bytes(payload, "big")
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))


@asynccontextmanager
async def peer(target: str) -> AsyncGenerator[Peer]:
    """Connected and greeted, until the end of the block."""
    if target.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(target.removeprefix("unix:"))
    else:
        host, _, port = target.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    made = Peer(reader, writer)
    made.send(PREFACE + frame(SETTINGS, 0, 0))
    reading = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        writer.transport.abort()
        reading.cancel()
        await asyncio.wait([reading])
