"""Hears what happens in the fleet, on connections of its own."""

from asyncio import Queue, create_task, gather, get_running_loop, sleep, timeout
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from random import Random
from typing import Final, cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store.link import Link, heed_cancellation
from mintonce_server.store.topology import Ear

PING_EVERY: Final = 1.0
"""Seconds of silence before a PING, and again before its answer counts as missed. redis-py alone never notices."""

CONNECT_DEADLINE: Final = 2.0
RETRY_FIRST: Final = 0.05
RETRY_MAX: Final = 2.0
STEADY: Final = 5.0
"""Seconds that a subscription must last to count as a success."""

SAME_WITHIN: Final = 2.0
"""Seconds in which the same words from two servers are one message. What comes later wakes once too often, no more."""

REMEMBERED: Final = 10_000
"""Messages, at most."""

GAP: Final = Wake(WakeKind.GAP, "", 0)

Decode = Callable[[bytes], Wake | None]
"""Reads one message; None for one that is dropped."""

Trouble = Callable[[StoreUnavailable], None]
"""Told of each subscription that broke, so that somebody can write it down."""


async def wakes(link: Link, decode: Decode, trouble: Trouble, spread: Random) -> AsyncGenerator[Wake]:
    """Messages as they come, forever; GAP first, and after each renewed subscription.

    Close it, or cancel its consumer, to end it.
    """
    ears = [_Ear(link, decode, trouble, spread)]
    ears += [ears[0].beside() for _ in range(1, link.ears)]
    async with aclosing(ears[0].hears() if len(ears) == 1 else _merged(ears)) as heard:
        async for wake in heard:
            yield wake


async def _merged(ears: Sequence["_Ear"]) -> AsyncGenerator[Wake]:
    """What several hear, each message once."""
    queue: Queue[Wake | Exception] = Queue(REMEMBERED)

    async def listen(ear: _Ear) -> None:
        try:
            async with aclosing(ear.hears()) as heard:
                async for wake in heard:
                    await queue.put(wake)
        except Exception as error:  # noqa: BLE001 - not swallowed: the consumer raises it
            await queue.put(error)

    tasks = [create_task(listen(ear), name="store-ear") for ear in ears]
    once = Once()
    try:
        while True:
            heard = await queue.get()
            if isinstance(heard, Exception):
                raise heard
            if once.is_new(heard, get_running_loop().time()):
                yield heard
    finally:
        for task in tasks:
            task.cancel()
        await gather(*tasks, return_exceptions=True)


class Once:
    """Tells what was not heard lately."""

    def __init__(self) -> None:
        self._heard: OrderedDict[Wake, float] = OrderedDict()

    def is_new(self, wake: Wake, now: float) -> bool:
        """`now`: seconds of a clock that never goes back. A GAP is always new."""
        if wake == GAP:
            return True
        first = self._heard.get(wake)
        if first is not None and now - first <= SAME_WITHIN:
            return False
        self._heard[wake] = now
        self._heard.move_to_end(wake)
        while len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)
        return True


class _Ear:
    """One subscription after the other, each to a server that no other ear listens to, as far as there are enough."""

    def __init__(self, link: Link, decode: Decode, trouble: Trouble, spread: Random) -> None:
        self._link = link
        self._decode = decode
        self._trouble = trouble
        self._spread = spread
        self.where = ""
        self._all: list[_Ear] = [self]
        self.begun = False

    def beside(self) -> "_Ear":
        """Another one, that knows of this one."""
        other = _Ear(self._link, self._decode, self._trouble, self._spread)
        self._all.append(other)
        other._all = self._all
        return other

    async def hears(self) -> AsyncGenerator[Wake]:
        """Messages, with a GAP at the beginning of each subscription, but for one that begins beside another."""
        failures = 0
        while True:
            began = get_running_loop().time()
            try:
                async with aclosing(self._subscription()) as subscription:
                    async for wake in subscription:
                        yield wake
            except StoreUnavailable as error:
                self._told(error)
            except Exception as error:  # noqa: BLE001 - a subscription may break in any way, and the next one comes
                heed_cancellation()
                await self._link.doubt(error)
                self._told(self._link.unavailable(error))
            # A server that confirms and then breaks the connection must not be asked without a pause.
            failures = 0 if get_running_loop().time() - began >= STEADY else min(failures + 1, 10)
            # Full jitter: after an outage the replicas do not come back all at once.
            await sleep(self._spread.uniform(0.0, min(RETRY_MAX, RETRY_FIRST * 2**failures)))

    def _told(self, error: StoreUnavailable) -> None:
        self._link.look_soon(error)
        self._trouble(error)

    async def _subscription(self) -> AsyncGenerator[Wake]:
        # Not where the others are, nor where this one has just been, which probably is down.
        chosen = await self._link.ear(lambda: [ear.where for ear in self._all])
        self.where = chosen.where
        async with aclosing(_messages(chosen, self._link.names.wake_channel, self._decode)) as messages:
            async for wake in messages:
                if wake == GAP and not self._renews():
                    continue
                yield wake

    def _renews(self) -> bool:
        """Whether messages may have been missed: not if this is its first subscription and another ear listens.

        If that one should have been deaf meanwhile, its own next subscription says GAP.
        """
        covered = not self.begun and any(ear.begun for ear in self._all)
        self.begun = True
        return not covered


async def _messages(ear: Ear, channel: str, decode: Decode) -> AsyncGenerator[Wake]:
    """One connection's life, from a GAP on. Ends by an exception, or when its server is no longer the right one."""
    connection = ear.connection
    try:
        async with timeout(CONNECT_DEADLINE):
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py gives no types here
            await connection.send_command("SUBSCRIBE", channel)
            while not _confirms(await _read(connection, CONNECT_DEADLINE)):
                pass
        yield GAP
        asked = False
        while not ear.stale():
            reply = await _read(connection, PING_EVERY)
            if reply is not None:
                asked = False
                data = _published(reply)
                if data is not None and (wake := decode(data)):
                    yield wake
            elif asked:
                raise ConnectionError("no answer to a PING")
            else:
                await connection.send_command("PING")
                asked = True
    finally:
        # Without waiting: the peer may be stopped, and a cancelled task should not linger.
        with suppress(Exception):
            await connection.disconnect(nowait=True)


async def _read(connection: AbstractConnection, seconds: float) -> object:
    """None after so much silence."""
    heed_cancellation()
    return cast(object, await connection.read_response(timeout=seconds))


def _published(reply: object) -> bytes | None:
    """The text of a message; None for the answers to PING and SUBSCRIBE, which come on the same connection."""
    match reply:
        case [b"message", bytes(), bytes(data)]:
            return data
        case _:
            return None


def _confirms(reply: object) -> bool:
    match reply:
        case [b"subscribe", object(), object()]:
            return True
        case _:
            return False
