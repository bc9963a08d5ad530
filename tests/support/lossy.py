"""A proxy between a store and its server, which loses replies on demand."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Lossy:
    """Hands bytes on in both directions. `lose_next()`: the next reply is dropped and its connection closed."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._losing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.lost = 0

    def lose_next(self) -> None:
        self._losing = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._server)
        pair = {writer, upstream_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._pass(reader, upstream_writer), self._pass(upstream_reader, writer, replies=True))
        finally:
            self._writers -= pair
            for end in pair:
                end.close()
            for end in pair:
                with suppress(OSError):  # the other side closed it first
                    await end.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool = False) -> None:
        while data := await reader.read(65_536):
            if replies and self._losing:
                self._losing = False
                self.lost += 1
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    def close(self) -> None:
        """Hang up on everybody."""
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def lossy(server: str, socket: Path) -> AsyncGenerator[Lossy]:
    """Listens on `socket` for the server that listens on the Unix socket `server`."""
    proxy = Lossy(server)
    listener = await asyncio.start_unix_server(proxy.serve, socket)
    try:
        yield proxy
    finally:
        listener.close()
        proxy.close()
        await listener.wait_closed()
