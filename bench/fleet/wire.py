"""gRPC calls by hand: HTTP/2 frames on plain sockets.

A thousand callers made of grpc.aio would need more CPU than the servers under measurement, on the same cores. These
look at nothing but frame headers while the clock runs; what came is read afterwards.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
"""Frame types of RFC 9113, section 6."""
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
WIDE_OPEN: Final = 2**31 - 1
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PREFIX: Final = 5
"""Bytes before a gRPC message: whether it is compressed, and its length."""


@dataclass(frozen=True, slots=True)
class Came:
    """A message of a stream, or (None) the stream's end."""

    stream: int
    message: bytes | None


class Connection:
    """One caller's connection. It never blocks for long: the servers are on this machine."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._target = target
        self._next = 1
        self._input = b""
        self._partial: dict[int, bytes] = {}
        window = (4).to_bytes(2, "big") + WIDE_OPEN.to_bytes(4, "big")
        more = (WIDE_OPEN - 65_535).to_bytes(4, "big")
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, window) + _frame(WINDOW_UPDATE, 0, 0, more))

    def fileno(self) -> int:
        return self._socket.fileno()

    def call(self, method: str, message: bytes) -> int:
        """Send a request; the number of its stream."""
        stream, self._next = self._next, self._next + 2
        body = b"\0" + len(message).to_bytes(4, "big") + message
        headers = _frame(HEADERS, END_HEADERS, stream, _header_block(method, self._target))
        self._socket.sendall(headers + _frame(DATA, END_STREAM, stream, body))
        return stream

    def receive(self) -> list[Came]:
        """What has come, after waiting for at least something. Raises ConnectionError."""
        came: list[Came] = []
        for kind, flags, stream, payload in self._frames():
            if kind == DATA:
                came += self._messages(stream, payload)
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self._socket.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind == GOAWAY:
                raise ConnectionError("the server hung up")
            if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                self._partial.pop(stream, None)
                came.append(Came(stream, None))
        return came

    def close(self) -> None:
        self._socket.close()

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        chunk = self._socket.recv(65_536)
        if not chunk:
            raise ConnectionError("the server hung up")
        data, at = self._input + chunk, 0
        while len(data) - at >= 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            yield data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big"), data[at + 9 : end]
            at = end
        self._input = data[at:]

    def _messages(self, stream: int, payload: bytes) -> Iterator[Came]:
        data = self._partial.get(stream, b"") + payload
        while len(data) >= PREFIX and len(data) >= (end := PREFIX + int.from_bytes(data[1:PREFIX], "big")):
            yield Came(stream, data[PREFIX:end])
            data = data[end:]
        self._partial[stream] = data


class Callers:
    """Many connections, each a caller of its own, spread evenly over the replicas."""

    def __init__(self, targets: Sequence[str], count: int) -> None:
        self.connections = [Connection(targets[number % len(targets)]) for number in range(count)]
        self._streams = [0] * count
        self._selector = selectors.DefaultSelector()
        for number, connection in enumerate(self.connections):
            self._selector.register(connection.fileno(), selectors.EVENT_READ, number)

    def call(self, method: str, message: bytes) -> None:
        """Each of them, at once. What comes of their earlier calls is nobody's business from here on."""
        self._streams = [connection.call(method, message) for connection in self.connections]

    def until(self, done: Callable[[int, Came, float], bool], deadline: float) -> None:
        """Tell of what comes (who, what, when by the monotonic clock) until that says it has all. Raises TimeoutError.

        The time is from before the reading: the answer was there then.
        """
        ends = time.monotonic() + deadline
        finished = False
        while not finished:
            ready = self._selector.select(max(0.0, ends - time.monotonic()))
            if not ready:
                raise TimeoutError(f"not every answer came within {deadline:g} s")
            for entry, _ in ready:
                number: int = entry.data
                now = time.monotonic()
                for came in self.connections[number].receive():
                    if came.stream == self._streams[number]:
                        finished = done(number, came, now) or finished

    def one_each(self, deadline: float) -> tuple[list[float], list[bytes]]:
        """When the first message of each caller came, and what it was. Raises RuntimeError for a call without one."""
        times = [0.0] * len(self.connections)
        messages: list[bytes] = [b""] * len(self.connections)
        missing = set(range(len(self.connections)))

        def done(number: int, came: Came, now: float) -> bool:
            if number in missing:
                if came.message is None:
                    raise RuntimeError("a call ended without an answer")
                times[number], messages[number] = now, came.message
                missing.discard(number)
            return not missing

        self.until(done, deadline)
        return times, messages

    def one_after_another(self, method: str, messages: Iterable[bytes], deadline: float) -> None:
        """All these calls; each caller makes its next when it has its answer. Raises RuntimeError for one without."""
        left = iter(messages)
        under_way = len(self.connections)
        self._streams = [connection.call(method, next(left)) for connection in self.connections]
        answered = [False] * len(self.connections)

        def done(number: int, came: Came, now: float) -> bool:
            nonlocal under_way
            if came.message is not None:
                answered[number] = True
                return False
            if not answered[number]:
                raise RuntimeError("a call ended without an answer")
            answered[number] = False
            if (message := next(left, None)) is None:
                under_way -= 1
            else:
                self._streams[number] = self.connections[number].call(method, message)
            return not under_way

        self.until(done, deadline)

    def close(self) -> None:
        self._selector.close()
        for connection in self.connections:
            connection.close()


def answer(connection: Connection, method: str, message: bytes) -> bytes:
    """One call, one answer, on a connection with nothing else under way. Raises RuntimeError when there is none."""
    stream = connection.call(method, message)
    first: bytes | None = None
    while True:
        for came in connection.receive():
            if came.stream != stream:
                continue
            if came.message is None:
                if first is None:
                    raise RuntimeError(f"{method} ended without an answer")
                return first
            first = came.message


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _header_block(method: str, authority: str) -> bytes:
    """HPACK without tables: each field literal (RFC 7541, section 6.2.2). No text here reaches 127 bytes."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    )
    return b"".join(
        b"\0" + bytes((len(name),)) + name.encode() + bytes((len(text),)) + text.encode() for name, text in fields
    )
