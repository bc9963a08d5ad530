"""The callers of the bench speak gRPC by hand: what they take for an answer must be one."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from bench.fleet.methods import CLIENT, GET_TOKEN, WATCH_TOKEN, generation_of, get, watch
from bench.fleet.wire import DATA, END_STREAM, GOAWAY, HEADERS, Callers, Connection, answer
from mintonce.v1 import tokens_pb2, types_pb2
from mintonce_server.api.options import ServerOptions
from mintonce_server.api.server import Server
from mintonce_server.core.broker import Broker, BrokerOptions
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted
from mintonce_server.observability.clock import SystemClock
from mintonce_server.store.memory import MemoryStore

AUDIENCE = "https://api.example.com/"
SOON = 10.0


class Issuer:
    """Gives a token at once."""

    def proof(self) -> str:
        return "the only one"

    async def mint(self, key: TokenKey) -> Minted:
        return Minted(Secret("t" * 40_000), "Bearer", 3600.0, SystemClock().monotonic(), key.scopes)


@pytest.fixture
async def target() -> AsyncGenerator[str]:
    """A replica on TCP, whose tokens are longer than a frame of HTTP/2."""
    clock = SystemClock()
    store = MemoryStore(KeyHasher(b"tests of the bench"), clock)
    broker = Broker(store, Clients([OAuthClient(CLIENT, Issuer())]), clock, lambda _: None, BrokerOptions())
    server = Server(broker, clock, ServerOptions("127.0.0.1:0"))
    address = server.bind()
    await server.start()
    yield address
    broker.drain()
    await server.stop(grace=0.0)
    await broker.close(grace=0.0)


@contextmanager
def peer(*pieces: bytes, last: Event | None = None) -> Generator[str]:
    """A server that sends these bytes, piece by piece (the last one not before `last`), and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def send() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in pieces:
                    if last and piece is pieces[-1]:
                        last.wait(SOON)
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass

        thread = Thread(target=send)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            thread.join(SOON)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


async def test_a_call_by_hand_gets_the_token(target: str) -> None:
    """The bytes that come are the GetTokenResponse, however many frames it took."""

    def call() -> bytes:
        connection = Connection(target)
        try:
            return answer(connection, GET_TOKEN, get(AUDIENCE))
        finally:
            connection.close()

    response = tokens_pb2.GetTokenResponse.FromString(await asyncio.to_thread(call))
    assert len(response.token.access_token) == 40_000


async def test_a_failed_call_is_no_answer(target: str) -> None:
    """A bench that counted refusals as answers would find Mintonce very fast."""

    def call() -> None:
        connection = Connection(target)
        try:
            answer(
                connection,
                GET_TOKEN,
                tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="nobody")).SerializeToString(),
            )
        finally:
            connection.close()

    with pytest.raises(RuntimeError, match="without an answer"):
        await asyncio.to_thread(call)


async def test_every_caller_of_a_herd_gets_the_same(target: str) -> None:
    """One answer each, twice in a row: what is left of the first round does not count for the second."""

    def gather() -> list[set[int]]:
        callers = Callers([target], 5)
        try:
            rounds: list[set[int]] = []
            for audience in ("https://one.example.com/", "https://two.example.com/"):
                callers.call(GET_TOKEN, get(audience))
                times, messages = callers.one_each(SOON)
                assert len(times) == len(messages) == 5
                rounds.append(set(map(generation_of, messages)))
            return rounds
        finally:
            callers.close()

    first, second = await asyncio.to_thread(gather)
    assert len(first) == len(second) == 1
    assert first != second


async def test_the_late_end_of_an_earlier_call_is_not_taken_for_the_next() -> None:
    """A call's end may come after its answer, when the next round has begun."""
    message = bytes(5)
    second = Event()
    rest = frame(HEADERS, END_STREAM, 1, b"") + frame(DATA, END_STREAM, 3, message)
    with peer(frame(DATA, 0, 1, message), rest, last=second) as address:

        def gather() -> None:
            callers = Callers([address], 1)
            try:
                callers.call(GET_TOKEN, b"")
                callers.one_each(SOON)
                callers.call(GET_TOKEN, b"")
                second.set()
                callers.one_each(SOON)
            finally:
                callers.close()

        await asyncio.to_thread(gather)


async def test_watches_stay_open_for_the_next_round(target: str) -> None:
    """A stream's first message is not its end; where nothing more comes, the wait has an end of its own."""

    def gather() -> None:
        callers = Callers([target], 2)
        try:
            callers.call(WATCH_TOKEN, watch(AUDIENCE))
            callers.one_each(SOON)
            callers.one_each(0.05)
        finally:
            callers.close()

    with pytest.raises(TimeoutError):
        await asyncio.to_thread(gather)


async def test_calls_in_a_row_are_all_made(target: str) -> None:
    """Fewer callers than calls: each goes on until none is left, and every request is sent once."""
    asked: list[str] = []

    def requests() -> Generator[bytes]:
        for number in range(25):
            asked.append(f"https://{number}.example.com/")
            yield get(asked[-1])

    def run() -> None:
        callers = Callers([target], 4)
        try:
            callers.one_after_another(GET_TOKEN, requests(), SOON)
        finally:
            callers.close()

    await asyncio.to_thread(run)
    assert len(asked) == 25


async def test_a_refusal_among_calls_in_a_row_ends_them(target: str) -> None:
    """As for a single call: it would be counted as a very quick answer."""

    def run() -> None:
        callers = Callers([target], 2)
        try:
            refused = tokens_pb2.GetTokenRequest(key=types_pb2.TokenKey(client="nobody")).SerializeToString()
            callers.one_after_another(GET_TOKEN, [get(AUDIENCE), get(AUDIENCE), refused], SOON)
        finally:
            callers.close()

    with pytest.raises(RuntimeError, match="without an answer"):
        await asyncio.to_thread(run)


async def test_an_answer_may_come_in_pieces() -> None:
    """Frames end anywhere in what is read, and messages anywhere in frames."""
    text = b"x" * 300
    whole = b"\0" + len(text).to_bytes(4, "big") + text
    frames = frame(DATA, 0, 1, whole[:3]) + frame(DATA, 0, 1, whole[3:200]) + frame(DATA, END_STREAM, 1, whole[200:])
    with peer(*(frames[at : at + 7] for at in range(0, len(frames), 7))) as address:
        connection = Connection(address)
        try:
            assert await asyncio.to_thread(answer, connection, GET_TOKEN, b"") == text
        finally:
            connection.close()


async def test_a_server_that_hangs_up_is_noticed() -> None:
    """No caller waits for an answer that cannot come."""
    with peer(frame(GOAWAY, 0, 0, bytes(8))) as address:
        connection = Connection(address)
        try:
            with pytest.raises(ConnectionError):
                await asyncio.to_thread(answer, connection, GET_TOKEN, b"")
        finally:
            connection.close()
