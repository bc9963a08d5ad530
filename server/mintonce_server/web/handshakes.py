"""TLS connections of the HTTP listener: so many handshakes at a time, so that silent peers use up no descriptors."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

MOST: Final = 256
"""Handshakes under way; one IP address may have a quarter of them. When there are more, the oldest one is ended: a
handshake takes some milliseconds, and this one has waited longest for its peer."""
GOODBYE: Final = 1.0
"""Seconds for a peer to say that it closes, too. Until then the descriptor is held."""
PAUSE: Final = 0.5
"""Seconds without new connections after one could not be accepted: no descriptor may be left."""


class TlsServer:
    """Accepts connections, and hands those with a complete handshake to the protocols of `made_for`.

    asyncio's own server does not say which connections are in their handshake.
    """

    def __init__(self, context: ssl.SSLContext, seconds: float, made_for: Callable[[], asyncio.BaseProtocol]) -> None:
        """`seconds`: for a handshake."""
        self._context = context
        self._seconds = seconds
        self._made_for = made_for
        self._accepting: list[asyncio.Task[None]] = []
        self._under_way: dict[asyncio.Task[None], tuple[socket.socket, str]] = {}
        """With the address of the peer. The oldest first."""

    async def start(self, host: str, port: int) -> int:
        """Accept connections at each address of the host. Returns the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listening: list[socket.socket] = []
        try:
            for family, address in dict.fromkeys((info[0], info[4]) for info in found):
                listening.append(socket.create_server(address, family=family, backlog=128))
                listening[-1].setblocking(False)
        except OSError:
            for one in listening:
                one.close()
            raise
        self._accepting = [asyncio.create_task(self._accept(one), name="TLS accept") for one in listening]
        return int(listening[0].getsockname()[1])

    async def stop(self) -> None:
        """Accept no more, and end the handshakes under way. Connections stay."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for connection, _ in self._under_way.values():
            _end(connection)
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        """One connection at each turn of the event loop: a flood of them leaves turns to others."""
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    connection, peer = await loop.sock_accept(listening)
                except OSError:
                    await asyncio.sleep(PAUSE)
                else:
                    self._begin(connection, str(peer[0]))
                    await asyncio.sleep(0)

    def _begin(self, connection: socket.socket, address: str) -> None:
        task = asyncio.create_task(self._shake_hands(connection), name="TLS handshake")
        self._under_way[task] = connection, address
        task.add_done_callback(lambda done: self._under_way.pop(done, None))
        theirs = [other for other, (_, whose) in self._under_way.items() if whose == address]
        if len(theirs) > MOST // 4:
            _end(self._under_way.pop(theirs[0])[0])
        elif len(self._under_way) > MOST:
            _end(self._under_way.pop(next(iter(self._under_way)))[0])

    async def _shake_hands(self, connection: socket.socket) -> None:
        with suppress(OSError):  # of TLS, too: the peer has gone, is too slow, or speaks something else
            await asyncio.get_running_loop().connect_accepted_socket(
                self._made_for,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=GOODBYE,
            )


def _end(connection: socket.socket) -> None:
    """As if the peer had hung up: the handshake fails, and the event loop closes the descriptor that it owns."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
