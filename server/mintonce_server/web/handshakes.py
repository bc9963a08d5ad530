"""TLS handshakes: each takes a millisecond of CPU time, for a peer that is not known yet. Their number is limited."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

HANDSHAKE_SECONDS: Final = 5.0
MOST: Final = 256
"""Under way at a time. One IP address may have a quarter of them."""
PAUSE: Final = 1.0
"""Seconds without new connections, when the process has no descriptor for them."""
BACKLOG: Final = 128


class TlsServer:
    """Accepts connections of TLS. `connection` makes the protocol that one is handed to after its handshake."""

    def __init__(self, context: ssl.SSLContext, connection: Callable[[], asyncio.Protocol]) -> None:
        self._context = context
        self._connection = connection
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._under_way: dict[asyncio.Task[None], str] = {}

    async def start(self, host: str, port: int) -> int:
        """The port. Raises OSError when it is taken."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            listening = socket.socket(family, socket.SOCK_STREAM)
            self._sockets.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind(address)
                listening.listen(BACKLOG)
            except OSError:
                self.close()
                raise
        self._accepting = [asyncio.create_task(self._accept(each)) for each in self._sockets]
        chosen: int = self._sockets[0].getsockname()[1]
        return chosen

    def close(self) -> None:
        """Accept nothing more, and end the handshakes under way."""
        for task in (*self._accepting, *self._under_way):
            task.cancel()
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def wait_closed(self) -> None:
        """After `close`."""
        await asyncio.gather(*self._accepting, *self._under_way, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        """One connection at each turn of the event loop: a flood of them leaves turns to others."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(PAUSE)
            else:
                self._begin(accepted, str(peer[0]))
                await asyncio.sleep(0)

    def _begin(self, accepted: socket.socket, address: str) -> None:
        """If there are too many, the oldest one ends: honest peers need the fewest round trips."""
        task = asyncio.create_task(self._shake(accepted))
        self._under_way[task] = address
        task.add_done_callback(self._under_way.pop)
        theirs = [other for other, whose in self._under_way.items() if whose == address]
        if len(theirs) > MOST // 4:
            theirs[0].cancel()
        elif len(self._under_way) > MOST:
            next(iter(self._under_way)).cancel()

    async def _shake(self, accepted: socket.socket) -> None:
        with suppress(Exception):  # whatever a peer does wrong; the connection is closed then
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connection, accepted, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
