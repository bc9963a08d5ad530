"""Hears what happens in the fleet, on a connection of its own."""

from asyncio import sleep, timeout
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from random import Random
from typing import Final, cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store.link import Link, heed_cancellation
from mintonce_server.store.scripts import WAKE_CHANNEL

PING_EVERY: Final = 1.0
"""Seconds of silence before a PING, and again before its answer counts as missed. redis-py alone never notices."""

CONNECT_DEADLINE: Final = 2.0
RETRY_FIRST: Final = 0.05
RETRY_MAX: Final = 2.0

VERSION: Final = "1"
"""Of the messages, as the scripts publish them. It changes when an old release would misread a new one's."""

GAP: Final = Wake(WakeKind.GAP, "", 0)
_KINDS: Final = {kind.value: kind for kind in WakeKind if kind is not WakeKind.GAP}

Trouble = Callable[[StoreUnavailable], None]
"""Told of each subscription that broke, so that somebody can write it down."""


async def wakes(link: Link, trouble: Trouble, spread: Random) -> AsyncGenerator[Wake]:
    """Messages as they come, forever; GAP after each (re)subscription. Close it, or cancel its consumer, to end it."""
    failures = 0
    while True:
        try:
            async with aclosing(_subscription(link.subscriber())) as subscription:
                async for wake in subscription:
                    failures = 0
                    yield wake
        except (RedisError, OSError, TimeoutError) as error:
            heed_cancellation()
            trouble(link.unavailable(error))
        # Full jitter: after an outage the replicas do not come back all at once.
        await sleep(spread.uniform(0.0, min(RETRY_MAX, RETRY_FIRST * 2**failures)))
        failures = min(failures + 1, 10)


async def _subscription(connection: AbstractConnection) -> AsyncGenerator[Wake]:
    """One connection's life. Ends by an exception only."""
    try:
        async with timeout(CONNECT_DEADLINE):
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py gives no types here
            await connection.send_command("SUBSCRIBE", WAKE_CHANNEL)
            while not _confirms(await _read(connection, CONNECT_DEADLINE)):
                pass
        yield GAP
        asked = False
        while True:
            reply = await _read(connection, PING_EVERY)
            if reply is not None:
                asked = False
                if wake := parse(reply):
                    yield wake
            elif asked:
                raise ConnectionError("no answer to a PING")
            else:
                await connection.send_command("PING")
                asked = True
    finally:
        # Without waiting: the peer may be stopped, and a cancelled task should not linger.
        await connection.disconnect(nowait=True)


async def _read(connection: AbstractConnection, seconds: float) -> object:
    """None after so much silence."""
    heed_cancellation()
    return cast(object, await connection.read_response(timeout=seconds))


def parse(reply: object) -> Wake | None:
    """`1 kind h generation` as pub/sub brings it; None for anything else, such as a newer release may say."""
    match reply:
        case [b"message", bytes(), bytes(data)]:
            version, *words = data.decode(errors="replace").split(" ")
        case _:
            return None
    if (
        version != VERSION
        or len(words) != 3
        or words[0] not in _KINDS
        or not (words[2].isascii() and words[2].isdigit())
    ):
        return None
    return Wake(_KINDS[words[0]], words[1], int(words[2]))


def _confirms(reply: object) -> bool:
    match reply:
        case [b"subscribe", object(), object()]:
            return True
        case _:
            return False
