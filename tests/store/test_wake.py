"""The wake channel reconnects, and says when it may have missed messages."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from random import Random

import pytest

from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.link import Link
from mintonce_server.store.names import USUAL
from mintonce_server.store.notifications import GAP, REMEMBERED, SAME_WITHIN, Notifications, Once, wakes
from mintonce_server.store.topology.servers import Subscription
from support.eventually import eventually
from support.options import redis_store
from support.samples import HASHER, KEY, shared
from support.servers import Command, looking_into

CHANNEL = USUAL.wake_channel
NOTIFICATIONS = Notifications(FIXED_KEYRING.index_key)
"""As every store here writes and reads them."""


@asynccontextmanager
async def _store(url: str, clock: Clock, troubles: list[StoreUnavailable]) -> AsyncGenerator[RedisStore]:
    store = redis_store(url, hasher=HASHER, clock=clock, deadline=2.0, on_error=troubles.append)
    try:
        yield store
    finally:
        await store.close()


def test_the_same_words_from_two_servers_are_one_message() -> None:
    """As long as one server may be behind the other; a GAP is always new."""
    once, wake = Once(), Wake(WakeKind.COMMIT, "abc", 17)
    assert once.is_new(wake, 1.0)
    assert not once.is_new(wake, 1.0 + SAME_WITHIN)
    assert once.is_new(replace(wake, kind=WakeKind.REJECT), 1.0)
    assert once.is_new(wake, 1.1 + SAME_WITHIN)
    assert [once.is_new(GAP, 1.0) for _ in range(2)] == [True, True]


def test_what_was_heard_is_not_kept_forever() -> None:
    """With any number of messages in a short time."""
    once = Once()
    for generation in range(REMEMBERED + 1):
        assert once.is_new(Wake(WakeKind.COMMIT, "abc", generation), 1.0)
    assert once.is_new(Wake(WakeKind.COMMIT, "abc", 0), 1.0)
    assert not once.is_new(Wake(WakeKind.COMMIT, "abc", REMEMBERED), 1.0)


async def test_a_strange_message_does_not_end_the_subscription(store: RedisStore, command: Command) -> None:
    """The next valid one is received."""
    async with aclosing(store.wakes()) as wakes:
        await anext(wakes)
        for strange in (b"", b"\xff\x00 nonsense", b"2 commit abc " + b"9" * 5_000, b"x" * 100_000, b"1 commit abc 17"):
            await command("PUBLISH", CHANNEL, strange)
        await command("PUBLISH", CHANNEL, NOTIFICATIONS.encode(WakeKind.COMMIT, "abc", 17))
        assert await anext(wakes) == Wake(WakeKind.COMMIT, "abc", 17)


async def test_after_the_server_was_killed_it_subscribes_again(own_server: EmbeddedValkey, clock: Clock) -> None:
    """First a GAP, then messages as before. The interruption is reported."""
    troubles: list[StoreUnavailable] = []
    async with _store(own_server.url, clock, troubles) as store, aclosing(store.wakes()) as wakes:
        assert await anext(wakes) == GAP
        os.kill(own_server.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            assert await anext(wakes) == GAP
        token = await shared(store, clock)
        assert await anext(wakes) == Wake(WakeKind.COMMIT, store.key_hash(KEY), token.generation)
    assert troubles


async def test_a_server_that_is_the_wrong_one_now_is_left(url: str, command: Command) -> None:
    """For example a former primary that keeps the connection, but sends nothing. A GAP says that it was left."""
    link, stale = Link.from_url(url, deadline=2.0), False
    find = link.subscription

    async def subscription(avoid: Callable[[], Collection[str]] = tuple) -> Subscription:
        return replace(await find(avoid), stale=lambda: stale)

    link.subscription = subscription  # type: ignore[method-assign] # one server never becomes the wrong one
    try:
        async with aclosing(wakes(link, NOTIFICATIONS.decode, lambda _: None, Random())) as heard:
            assert await anext(heard) == GAP
            await command("PUBLISH", CHANNEL, NOTIFICATIONS.encode(WakeKind.COMMIT, "abc", 17))
            assert await anext(heard) == Wake(WakeKind.COMMIT, "abc", 17)
            stale = True
            async with asyncio.timeout(5):
                assert await anext(heard) == GAP
    finally:
        await link.close()


@pytest.mark.slow
async def test_a_silent_server_is_noticed(own_server: EmbeddedValkey, clock: Clock) -> None:
    """A stopped server breaks no connection: only the missing answer to a PING shows it."""
    troubles: list[StoreUnavailable] = []
    async with _store(own_server.url, clock, troubles) as store, aclosing(store.wakes()) as wakes:
        await anext(wakes)
        os.kill(own_server.pid, signal.SIGSTOP)
        following = asyncio.create_task(anext(wakes))
        try:
            await eventually(lambda: asyncio.sleep(0, list(troubles)), bool, within=10.0)
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            assert await following == GAP


async def test_a_quiet_channel_is_kept(store: RedisStore, command: Command) -> None:
    """Answered PINGs are neither messages nor errors."""
    await command("CONFIG", "RESETSTAT")
    async with aclosing(store.wakes()) as wakes:
        await anext(wakes)
        following = asyncio.create_task(anext(wakes))
        await eventually(lambda: command("INFO", "commandstats"), lambda said: "cmdstat_ping" in str(said))
        assert not following.done()
        await command("PUBLISH", CHANNEL, NOTIFICATIONS.encode(WakeKind.FAIL, "abc", 17))
        assert await following == Wake(WakeKind.FAIL, "abc", 17)


async def test_a_cancelled_consumer_leaves_no_connection(store: RedisStore, command: Command) -> None:
    """The subscription ends with its task."""

    async def subscribers() -> object:
        return await command("PUBSUB", "NUMSUB", CHANNEL)

    async def consume() -> None:
        async with aclosing(store.wakes()) as wakes:
            async for _ in wakes:
                pass

    consumer = asyncio.create_task(consume())
    await eventually(subscribers, lambda said: said == [CHANNEL.encode(), 1])
    consumer.cancel()
    with suppress(asyncio.CancelledError):
        await consumer
    await eventually(subscribers, lambda said: said == [CHANNEL.encode(), 0])


async def test_a_closed_subscription_leaves_no_connection(url: str, clock: Clock) -> None:
    """Closed during its life, and before it began."""
    async with _store(url, clock, []) as store, looking_into(url) as command:
        async with aclosing(store.wakes()):
            pass
        async with aclosing(store.wakes()) as wakes:
            await anext(wakes)
        await eventually(
            lambda: command("PUBSUB", "NUMSUB", CHANNEL),
            lambda said: said == [CHANNEL.encode(), 0],
        )


async def test_a_server_that_confirms_and_disconnects_is_not_queried_without_a_pause(clock: Clock) -> None:
    """Each subscription begins with a GAP, which causes a revalidation of all cached tokens."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = b""
        while (data := await reader.read(65_536)) and b"SUBSCRIBE" not in said + data:
            said += data
            writer.write(b"+OK\r\n" * data.count(b"CLIENT"))
        writer.write(b"*3\r\n$9\r\nsubscribe\r\n$13\r\nmintonce:wake\r\n:1\r\n")
        writer.close()

    class Longest(Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = Link.from_url(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", deadline=2.0)
    began = clock.monotonic()
    async with aclosing(wakes(link, NOTIFICATIONS.decode, lambda _: None, Longest())) as heard:
        for _ in range(4):
            assert await anext(heard) == GAP
    assert clock.monotonic() - began >= 0.1 + 0.2 + 0.4
    await link.close()
    server.close()
    await server.wait_closed()
