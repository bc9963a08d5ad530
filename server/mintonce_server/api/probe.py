"""Asks a running server for its health, as a container's health check does.

With h2 on a plain socket. Probes run every few seconds in every container, and `import grpc` alone costs more CPU than
this whole probe.
"""

import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.events import TrailersReceived as Trailers
from h2.exceptions import ProtocolError

from mintonce_server.common.clock import SystemClock
from mintonce_server.common.network import read_address

PORT: Final = 50_051
"""Of an address that names none."""
STATES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
"""Of grpc.health.v1, by number."""
MAX_SERVICE: Final = 127
"""Bytes of a service's name: its length then fits into one byte of the message."""
MAX_ANSWER: Final = 65_536
"""Bytes. What sends more is no health service."""

_CHUNK: Final = 4096
_PREFIX: Final = 5
"""Bytes before each gRPC message: whether it is compressed, and its length."""
_OK, _NOT_FOUND = "0", "5"


class SpeaksTls(ConnectionError):
    """The port wants TLS, and a probe asks in clear."""


class NoSuchService(ConnectionError):
    """The server answers, and does not know this health service."""


def health_of(target: str, deadline: float, service: str = "") -> str:
    """SERVING, NOT_SERVING, UNKNOWN, or a number that grpc.health.v1 does not know.

    Raises ConnectionError when there is no such answer within `deadline` seconds.
    """
    end = _Deadline(deadline)
    try:
        return _answered(target, end, service)
    except NoSuchService:
        raise
    except ConnectionError as error:
        if _wants_tls(dialable(target), end):
            raise SpeaksTls(f"{target} speaks TLS, and `mintonced health` asks in clear") from error
        raise


def _answered(target: str, deadline: "_Deadline", service: str) -> str:
    try:
        answer = _exchange(dialable(target), deadline, _message(service))
    except (OSError, ProtocolError, ValueError) as error:  # ValueError: not an address, or not a name for IDNA
        raise ConnectionError(f"{target} does not answer") from error
    if answer.status == _NOT_FOUND:
        raise NoSuchService(f"{target} knows no health service '{service}'")
    state = _state(bytes(answer.body))
    if answer.status != _OK or state is None:
        raise ConnectionError(f"{target} does not answer as a server with grpc.health.v1 does")
    return STATES[state] if state < len(STATES) else str(state)


def _wants_tls(target: str, deadline: "_Deadline") -> bool:
    """Whether TLS can be spoken there, with whomever: nothing is sent."""
    import ssl  # a server that serves needs none of it

    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    anyone.set_alpn_protocols(["h2"])
    try:
        with _connected(target, deadline) as peer:
            peer.settimeout(deadline.left)
            anyone.wrap_socket(peer).close()
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # it refuses us, and in TLS
    except (OSError, ValueError):
        return False
    return True


def dialable(listen: str) -> str:
    """Where to reach what listens there: a wildcard address is not one to dial."""
    host, _, port = listen.rpartition(":")
    wildcards = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared, not bound
    return f"{wildcards[host]}:{port}" if host in wildcards else listen


class _Deadline:
    """For all that a probe waits for together."""

    def __init__(self, seconds: float) -> None:
        self._now = SystemClock().monotonic
        self._end = self._now() + seconds

    @property
    def left(self) -> float:
        """Raises TimeoutError when nothing is left: a socket would take 0 for "do not wait"."""
        left = self._end - self._now()
        if left <= 0:
            raise TimeoutError
        return left


@dataclass(slots=True)
class _Answer:
    status: str = ""
    body: bytearray = field(default_factory=bytearray)
    over: bool = False

    def take(self, event: Event) -> None:
        """What the server said next."""
        if isinstance(event, ResponseReceived | Trailers):
            self.status = dict(event.headers or ()).get(b"grpc-status", self.status.encode()).decode("ascii", "replace")
        elif isinstance(event, DataReceived):
            self.body += event.data or b""
        elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
            self.over = True


def _exchange(target: str, deadline: _Deadline, message: bytes) -> _Answer:
    """One call of Check. Raises OSError, ProtocolError or ValueError."""
    http, answer, received = H2Connection(H2Configuration(header_encoding=None)), _Answer(), 0
    with _connected(target, deadline) as peer:
        http.initiate_connection()
        http.send_headers(1, _headers(target))
        http.send_data(1, message, end_stream=True)
        while not answer.over:
            peer.settimeout(deadline.left)
            peer.sendall(http.data_to_send())
            data = peer.recv(_CHUNK)
            received += len(data)
            if not data or received > MAX_ANSWER:
                break
            for event in http.receive_data(data):
                answer.take(event)
        with suppress(OSError):  # a polite end; the answer is here
            http.close_connection()
            peer.sendall(http.data_to_send())
    return answer


def _connected(target: str, deadline: _Deadline) -> socket.socket:
    if not target.startswith("unix:"):
        return socket.create_connection(read_address(target, PORT), deadline.left)
    path = target.removeprefix("unix:")
    peer = socket.socket(socket.AF_UNIX)
    try:
        peer.settimeout(deadline.left)
        # As gRPC has it: unix:/path, unix:///path, unix:path.
        peer.connect(path.removeprefix("//") if path.startswith("///") else path)
    except BaseException:
        peer.close()
        raise
    return peer


def _headers(target: str) -> list[tuple[str, str]]:
    authority = "localhost" if target.startswith("unix:") else target
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "mintonced-health"),
    ]


def _message(service: str) -> bytes:
    """A HealthCheckRequest with its gRPC prefix. Raises ValueError for a name that is too long."""
    name = service.encode()
    if len(name) > MAX_SERVICE:
        raise ValueError("no health service has such a long name")
    body = bytes((0x0A, len(name))) + name if name else b""
    return bytes((0,)) + len(body).to_bytes(_PREFIX - 1, "big") + body


def _state(answer: bytes) -> int | None:
    """The number in a HealthCheckResponse; None for another message."""
    body = answer[_PREFIX:]  # field 1, a number of one byte
    if len(answer) < _PREFIX or int.from_bytes(answer[1:_PREFIX], "big") != len(body) or answer[0] != 0:
        return None
    if not body:
        return 0  # protobuf leaves a zero out
    return body[1] if len(body) == 2 and body[0] == 0x08 and body[1] < 0x80 else None
