"""Closes TCP connections of gRPC servers, for which gRPC has no call in Python."""

import ctypes
import os
import socket
from collections.abc import Collection
from typing import Final, cast

from mintonce_server.common.clock import Clock
from mintonce_server.common.network import address_of_peer, normalized_ip

DESCRIPTORS: Final = "/dev/fd"
"""This process's own, on Linux and macOS."""
SHARE: Final = 2.0
"""A search for connections takes longer with more descriptors. The next one starts after this many times as long."""

Address = tuple[str, int]
_LIBC: Final = ctypes.CDLL(None)
_NO_ADDRESS: Final = bytes(16)
"""A sockaddr of the family AF_UNSPEC."""
NOWHERE: Final[Address] = ("", 0)


class Connections:
    """The connections to one TCP port of this server. `port` 0: to none."""

    def __init__(self, clock: Clock) -> None:
        self.port = 0
        self._clock = clock
        self._found: dict[Address, int] = {}
        self._next_search = 0.0

    def close(self, peers: Collection[str]) -> set[str]:
        """Close the connections of these peers, as gRPC names them. Returns the peers whose connections were closed.

        To gRPC it looks as if the peer had hung up: it ends the calls and frees all that belongs to them. Peers on Unix
        sockets have no address, so their connections stay.
        """
        wanted = (
            {address: peer for peer in peers if (address := address_of_peer(peer))}
            if self.port
            else dict[Address, str]()
        )
        if not wanted.keys() <= self._found.keys() and (now := self._clock.monotonic()) >= self._next_search:
            self._search()
            ended = self._clock.monotonic()
            self._next_search = ended + SHARE * (ended - now)
        return {peer for address, peer in wanted.items() if self._end(address)}

    def _search(self) -> None:
        self._found.clear()
        try:
            names = os.listdir(DESCRIPTORS)
        except OSError:  # no descriptor is left to read it with, or the system has no such folder
            return
        for name in names:
            if name.isdigit() and (address := self._peer_of(int(name))) != NOWHERE:
                self._found[address] = int(name)

    def _peer_of(self, descriptor: int) -> Address:
        try:
            with _duplicate(descriptor) as connection:
                return self._peer(connection)
        except OSError:  # closed meanwhile, or not a socket
            return NOWHERE

    def _end(self, address: Address) -> bool:
        descriptor = self._found.pop(address, -1)
        try:
            # A duplicate stays the same connection until it is closed, whatever gRPC does meanwhile. The number may
            # have been reused since it was found: hence the second check.
            with _duplicate(descriptor) as connection:
                if self._peer(connection) != address:
                    return False
                _abort(connection)
        except OSError:  # the peer was faster
            return False
        return True

    def _peer(self, connection: socket.socket) -> Address:
        # Compare our own port, too: a server that we are a client of could have the peer's address.
        ours = _address(connection.getsockname())[1] == self.port
        return _address(connection.getpeername()) if ours else NOWHERE


def _abort(connection: socket.socket) -> None:
    """Close it and discard what it has received: a flood may have left megabytes there."""
    # Linux: to connect a TCP socket to no address resets its connection.
    if _LIBC.connect(connection.fileno(), _NO_ADDRESS, len(_NO_ADDRESS)) != 0:
        connection.shutdown(socket.SHUT_RDWR)


def _duplicate(descriptor: int) -> socket.socket:
    own = os.dup(descriptor)
    try:
        return socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise


def _address(name: object) -> Address:
    """What `socket` returns, as in gRPC's names."""
    if not isinstance(name, tuple) or len(cast("tuple[object, ...]", name)) < 2:
        return NOWHERE
    host, port = cast("tuple[str, int]", name)[:2]
    return normalized_ip(host) or "", port
