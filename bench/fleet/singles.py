"""What runs in the process of the callers: one call at a time, and many keys in a row."""

import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from bench.fleet.methods import GET_TOKEN, fresh_audience, get
from bench.fleet.wire import Callers, Connection, answer

ALL_WITHIN = 600.0


@dataclass(frozen=True)
class Singles:
    """The job. The credentials are made up for this run."""

    target: str
    token_url: str
    client_id: str
    client_secret: str
    calls: int


@dataclass(frozen=True)
class Timed:
    """Seconds of each call: what was timed in one round stands at the same place."""

    post: Sequence[float]
    cold: Sequence[float]
    hot: Sequence[float]


def singles(job: Singles) -> Timed:
    """A bare POST, a GetToken of a new key, the same again: in turn, so that noise hits all alike."""
    connection = Connection(job.target)
    poster = _Poster(job)
    post: list[float] = []
    cold: list[float] = []
    hot: list[float] = []
    try:
        answer(connection, GET_TOKEN, get(fresh_audience()))  # the server's own first connections
        for _ in range(job.calls):
            request = get(fresh_audience())
            post.append(_seconds(partial(poster.post, fresh_audience())))
            cold.append(_seconds(partial(answer, connection, GET_TOKEN, request)))
            hot.append(_seconds(partial(answer, connection, GET_TOKEN, request)))
    finally:
        connection.close()
        poster.close()
    return Timed(post, cold, hot)


@dataclass(frozen=True)
class Gets:
    """The job: GetToken for `count` audiences from number `first` on, `under_way` at a time."""

    target: str
    first: int
    count: int
    under_way: int


def numbered_audience(number: int) -> str:
    """The same for who fills the store and who asks the replica."""
    return f"https://api-{number:07}.example.com/"


def gets(job: Gets) -> float:
    """The seconds that they took."""
    callers = Callers([job.target], min(job.under_way, job.count))
    began = time.monotonic()
    try:
        requests = (get(numbered_audience(number)) for number in range(job.first, job.first + job.count))
        callers.one_after_another(GET_TOKEN, requests, ALL_WITHIN)
    finally:
        callers.close()
    return time.monotonic() - began


class _Poster:
    """The issuer's own latency: a POST on a kept connection, by a client that adds next to nothing."""

    def __init__(self, job: Singles) -> None:
        url = urlsplit(job.token_url)
        self._job = job
        self._head = f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
        self._socket = socket.create_connection((str(url.hostname), url.port or 80), timeout=10.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, audience: str) -> None:
        """Raises RuntimeError when it gives no token."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": self._job.client_id,
            "client_secret": self._job.client_secret,
            "audience": audience,
        }
        body = json.dumps(asked)
        self._socket.sendall(f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        head, _, rest = self._read(b"\r\n\r\n").partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(rest) < length:
            rest += self._socket.recv(65_536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError("the practice issuer gave no token")

    def _read(self, until: bytes) -> bytes:
        data = b""
        while until not in data:
            if not (chunk := self._socket.recv(65_536)):
                raise ConnectionError("the practice issuer hung up")
            data += chunk
        return data

    def close(self) -> None:
        self._socket.close()


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
