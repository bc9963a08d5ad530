"""Ending TCP connections behind gRPC's back."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress

import pytest
import pytest_asyncio

from mintonce_server.api import connections as module
from mintonce_server.api.connections import Connections
from mintonce_server.common.clock import SystemClock
from support.clocks import ManualClock


class Pair:
    """A connection: the end of a server in this process, and that of its peer."""

    def __init__(self, listener: socket.socket, stack: ExitStack) -> None:
        self.client = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
        self.server = stack.enter_context(listener.accept()[0])
        self.client.settimeout(5.0)
        host, port = self.client.getsockname()[:2]
        self.peer = f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"

    def is_reset(self) -> bool:
        """Whether the server has ended it."""
        try:
            return self.client.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_open(self) -> bool:
        """Whether what the server says arrives."""
        try:
            self.server.sendall(b"x")
        except OSError:
            return False
        return self.client.recv(1) == b"x"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def listener(stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_server(("127.0.0.1", 0)))


@pytest.fixture
def connections(listener: socket.socket) -> Connections:
    made = Connections(SystemClock())
    made.port = listener.getsockname()[1]
    return made


def test_those_that_are_named_are_ended_and_no_others(
    listener: socket.socket, connections: Connections, stack: ExitStack
) -> None:
    """To the peer it looks as if the server had hung up."""
    named, other = Pair(listener, stack), Pair(listener, stack)
    assert connections.close([named.peer, "unix:", "ipv4:192.0.2.1:1", "nonsense"]) == {named.peer}
    assert named.is_reset()
    assert other.is_open()
    assert not connections.close([named.peer])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the rest is read first")
def test_what_was_received_and_not_read_is_dropped(
    listener: socket.socket, connections: Connections, stack: ExitStack
) -> None:
    """A flood leaves megabytes behind: to read them first would take as long as the flood itself."""
    pair = Pair(listener, stack)
    pair.client.sendall(b"x" * 10_000)
    assert connections.close([pair.peer]) == {pair.peer}
    with pytest.raises(OSError, match=r"reset|not connected"):
        pair.server.recv(10_000)


def test_where_descriptors_cannot_be_listed_connections_stay(
    listener: socket.socket, connections: Connections, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may have none left to do it with: that must not fail a call."""
    pair = Pair(listener, stack)
    monkeypatch.setattr(module, "DESCRIPTORS", "/nowhere")
    assert not connections.close([pair.peer])
    assert pair.is_open()


def test_a_connection_that_goes_elsewhere_stays(
    listener: socket.socket, connections: Connections, stack: ExitStack
) -> None:
    """The server is a client of others, and its own ends are no ends of its callers."""
    pair = Pair(listener, stack)
    host, port = listener.getsockname()[:2]
    assert not connections.close([f"ipv4:{host}:{port}"])
    assert pair.is_open()


def test_a_number_that_was_given_to_another_connection_ends_nothing(
    listener: socket.socket, connections: Connections, stack: ExitStack
) -> None:
    """It may happen between two looks at the descriptors."""
    first, second = Pair(listener, stack), Pair(listener, stack)
    assert connections.close([second.peer]) == {second.peer}  # and the other one is known from now on
    third = Pair(listener, stack)
    connections._found[("127.0.0.1", int(first.peer.rpartition(":")[2]))] = third.server.fileno()
    assert not connections.close([first.peer])
    assert third.is_open()


def test_the_descriptors_are_not_searched_all_the_time(listener: socket.socket, stack: ExitStack) -> None:
    """A flood from connections that are gone must not make each call search them."""

    class Slow(ManualClock):
        """Each look at it takes a second."""

        def monotonic(self) -> float:
            self.advance(1.0)
            return super().monotonic()

    connections, searches = Connections(Slow()), 0
    connections.port = listener.getsockname()[1]
    search = connections._search

    def counted() -> None:
        nonlocal searches
        searches += 1
        search()

    connections._search = counted  # type: ignore[method-assign]  # counts, and does the same
    for number in range(30):
        connections.close([f"ipv4:192.0.2.1:{number}"])
    assert 5 <= searches <= 15


@pytest_asyncio.fixture
async def wrapped() -> AsyncIterator[socket.socket]:
    """A listener of IPv6 that takes IPv4, too."""
    try:
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):
        pytest.skip("no IPv6 here")
    with listener:
        yield listener


async def test_ipv4_inside_of_ipv6_is_found(wrapped: socket.socket) -> None:
    """gRPC names such a peer by its IPv4 address."""
    connections = Connections(SystemClock())
    connections.port = wrapped.getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", connections.port)
    accepted, _ = wrapped.accept()
    with accepted:
        host, port = writer.get_extra_info("sockname")
        assert connections.close([f"ipv4:{host}:{port}"]) == {f"ipv4:{host}:{port}"}
        async with asyncio.timeout(5.0):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
    writer.close()
