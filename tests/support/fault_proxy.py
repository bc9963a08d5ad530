"""A TCP proxy on loopback that can hold, lose and cut what passes: single commands or replies, or everything."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from support.speech import Speech, resp, words_of

CHUNK: Final = 65_536
CONNECT_WITHIN: Final = 2.0
SET_UP: Final = ((b"CLIENT",), (b"AUTH",), (b"SELECT",))
"""Commands with which redis-py begins a connection."""


class Fate(Enum):
    """What becomes of something that is on its way."""

    PASS = auto()
    CUT = auto()
    """It is lost, and its connection closed: the sender knows that something went wrong."""
    VANISH = auto()
    """It is lost, and nothing more of this connection arrives: the sender waits."""


class Hole(Enum):
    """Which connections lead nowhere: nothing arrives, nothing is refused."""

    NONE = auto()
    SUBSCRIBERS = auto()
    ALL = auto()


@dataclass(frozen=True, slots=True)
class Passing:
    """A command on its way (`reply` is None), or the reply to one. Pushed messages are replies without `words`.

    `raw`: what came, as it came.
    """

    words: tuple[bytes, ...]
    reply: bytes | None = None
    raw: bytes = b""


@dataclass(eq=False)
class Trap:
    """Catches the next thing that fits, and holds it, with all that follows on its connection, until it is let go."""

    fits: Callable[[Passing], bool]
    sprung: asyncio.Event = field(default_factory=asyncio.Event)
    _fate: "asyncio.Future[Fate]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def let_go(self, fate: Fate = Fate.PASS) -> None:
        """Decide about what is held. Of no effect the second time."""
        if not self._fate.done():
            self._fate.set_result(fate)

    async def hold(self) -> Fate:
        self.sprung.set()
        return await self._fate


class FaultProxy:
    """Stands before one server. Use `fault_proxy` to have one.

    Attributes:
        hole: which connections are swallowed. Ended by `heal`.
        latency: seconds that each command and each reply takes longer.
        loss: the share of replies (0 to 1) that are lost after their command was carried out; see `lossy`.
        lost: how many were.
        opened: how many connections there have been.
        asked_at: when the last command came, but for those of subscribers; by the event loop's clock.
        garbage: comes instead of each reply, but for those with which a connection to Redis begins; None: nothing does.
    """

    def __init__(self, server_port: int, speech: Speech, chance: random.Random) -> None:
        self.hole = Hole.NONE
        self.latency = 0.0
        self.loss = 0.0
        self.lost = 0
        self.opened = 0
        self.asked_at = 0.0
        self.garbage: bytes | None = None
        self.lossy: Callable[[Passing], bool] = lambda _: True
        self.loss_fate = Fate.CUT
        self.port = 0
        self._server_port = server_port
        self._speech = speech
        self._chance = chance
        self._traps: list[Trap] = []
        self._set: list[Trap] = []
        self._connections: set[_Connection] = set()

    def trap(self, fits: Callable[[Passing], bool]) -> Trap:
        """Set a trap for the next command or reply that fits. `heal` lets go what it holds."""
        trap = Trap(fits)
        self._traps.append(trap)
        self._set.append(trap)
        return trap

    def cut(self) -> None:
        """Close every connection that is open now."""
        for connection in self._connections:
            connection.close()

    def forget(self) -> None:
        """Swallow everything of the connections that are open now, as a middlebox that forgot them. New ones work."""
        for connection in self._connections:
            connection.is_torn = True

    def heal(self) -> None:
        """All faults end. Connections that lost something are closed: TCP would not go on after a gap."""
        self.hole, self.latency, self.loss, self.garbage = Hole.NONE, 0.0, 0.0, None
        for trap in self._set:
            trap.let_go()
        self._traps.clear()
        self._set.clear()
        for connection in self._connections:
            if connection.is_torn:
                connection.close()

    async def fate(self, passing: Passing, subscriber: bool) -> Fate:
        """Decide about something on its way; takes as long as it is held."""
        if passing.reply is None and not subscriber:
            self.asked_at = asyncio.get_running_loop().time()
        if self.latency:
            await asyncio.sleep(self.latency)
        if trap := next((trap for trap in self._traps if trap.fits(passing)), None):
            self._traps.remove(trap)
            return await trap.hold()
        if self.hole is Hole.ALL or (self.hole is Hole.SUBSCRIBERS and subscriber):
            return Fate.VANISH
        is_reply = passing.reply is not None and bool(passing.words)
        if is_reply and self.loss and self.lossy(passing) and self._chance.random() < self.loss:
            self.lost += 1
            return self.loss_fate
        return Fate.PASS

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                upstream = await asyncio.open_connection("127.0.0.1", self._server_port)
        except (OSError, TimeoutError):  # the server is dead: the client sees a closed connection
            writer.close()
            return
        connection = _Connection(self, self._speech, (reader, writer), upstream)
        self._connections.add(connection)
        self.opened += 1
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


class _Connection:
    def __init__(
        self,
        proxy: FaultProxy,
        speech: Speech,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.is_torn = False
        self._proxy = proxy
        self._speech = speech
        self._client = client
        self._server = server
        self._asked: deque[tuple[bytes, ...]] = deque()
        self._subscriber = False

    def close(self) -> None:
        for _, writer in (self._client, self._server):
            writer.close()

    async def run(self) -> None:
        """Until one side hangs up."""
        directions = [asyncio.create_task(self._commands()), asyncio.create_task(self._replies())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.close()
            for direction in directions:
                direction.cancel()
            # A reset is a way to hang up too.
            await asyncio.gather(*directions, return_exceptions=True)

    async def _commands(self) -> None:
        async for frame in _frames(self._client[0], self._speech):
            words = words_of(frame)
            self._subscriber = self._subscriber or words[:1] == (b"SUBSCRIBE",)
            self._asked.append(words)
            if not await self._pass(frame, Passing(words, None, frame), self._server[1]):
                return

    async def _replies(self) -> None:
        async for frame in _frames(self._server[0], self._speech):
            words = self._asked.popleft() if self._asked and not self._subscriber else ()
            if not await self._pass(frame, Passing(words, frame, frame), self._client[1]):
                return

    async def _pass(self, frame: bytes, passing: Passing, writer: asyncio.StreamWriter) -> bool:
        """False: the connection is to be closed."""
        fate = Fate.VANISH if self.is_torn else await self._proxy.fate(passing, self._subscriber)
        if fate is Fate.VANISH:
            self.is_torn = True
        elif fate is Fate.PASS:
            garbled = self._proxy.garbage if passing.reply is not None and passing.words[:1] not in SET_UP else None
            writer.write(frame if garbled is None else garbled)
            await writer.drain()
        return fate is not Fate.CUT


async def _frames(reader: asyncio.StreamReader, speech: Speech) -> AsyncGenerator[bytes]:
    buffer = b""
    while data := await reader.read(CHUNK):
        buffer += data
        while length := speech(buffer):
            yield buffer[:length]
            buffer = buffer[length:]


@asynccontextmanager
async def fault_proxy(
    server_port: int, speech: Speech = resp, chance: random.Random | None = None, listen: int = 0
) -> AsyncGenerator[FaultProxy]:
    """Listens on a port of its own, or on `listen`, for the server on 127.0.0.1:`server_port`.

    `chance` decides what is lost.
    """
    proxy = FaultProxy(server_port, speech, chance or random.Random(0))
    tasks: set[asyncio.Task[None]] = set()
    ends = False

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if ends:  # it was accepted in the last moment
            writer.close()
            return
        task = asyncio.create_task(proxy.serve(reader, writer), name="fault proxy")
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # also if it was cancelled before it began

    listener = await asyncio.start_server(accept, "127.0.0.1", listen)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        ends = True
        listener.close()
        proxy.heal()
        proxy.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(OSError):
            await listener.wait_closed()
