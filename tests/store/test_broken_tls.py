"""TLS to Redis that fails after the handshake is an outage, for commands and for the subscription."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.store.notifications import GAP
from support.broken_tls import BREAKS, Break, Tls
from support.reaching import reaching
from support.speech import resp, words_of
from support.tls import Authority

SAID = {b"PING": b"+PONG\r\n", b"SUBSCRIBE": b"*3\r\n$9\r\nsubscribe\r\n$13\r\nmintonce:wake\r\n:1\r\n"}


class Peer:
    """Answers as Redis does, or with what `breaks` makes of it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.breaks: Break | None = None
        self.port = 0
        self._context = context

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls, said = Tls(reader, writer, self._context), b""
        await tls.handshake()
        while data := await tls.read():
            said += data
            while length := resp(said):
                (word, *_), said = words_of(said[:length]), said[length:]
                answer = SAID.get(word, b"+OK\r\n")
                if word in SAID and self.breaks is not None:
                    await tls.send(self.breaks(tls, answer))
                    return
                await tls.send(tls.sealed(answer))


@asynccontextmanager
async def speaking(context: ssl.SSLContext) -> AsyncGenerator[Peer]:
    """Until the block is left."""
    peer, running = Peer(context), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await peer.serve(reader, writer)
        running.discard(task)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


@pytest.mark.parametrize("kind", BREAKS)
async def test_broken_tls_is_an_outage(
    tmp_path: Path, clock: Clock, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typed error without any of the received bytes; when TLS works, the store works again."""
    monkeypatch.setattr("mintonce_server.store.notifications.PING_INTERVAL", 0.1)
    authority = Authority(tmp_path)
    async with speaking(authority.server()) as peer:
        url = f"rediss://127.0.0.1:{peer.port}/0?ssl_ca_certs={authority.ca}"
        async with reaching(url, clock) as store, aclosing(store.wakes()) as wakes:
            assert await anext(wakes) == GAP
            await store.ping()
            peer.breaks = BREAKS[kind]
            with pytest.raises(StoreUnavailable) as caught:
                await store.ping()
            assert caught.value.__cause__ is not None
            assert str(caught.value).isprintable()
            following = asyncio.create_task(anext(wakes))
            await asyncio.wait([following], timeout=0.3)  # its own PING comes meanwhile
            peer.breaks = None
            await store.ping()
            async with asyncio.timeout(20.0):
                assert await following == GAP
