"""A task that is cancelled ends, even where the library below swallows the cancellation.

asyncio.wait_for does before Python 3.12, when it comes just as the send is done: rarely, but then a server never stops.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from random import Random

import pytest

from mintonce_server.store.link import Link
from mintonce_server.store.servers import Ear
from mintonce_server.store.wake import wakes
from support.waiting import wait_until


async def swallows(started: asyncio.Event) -> str:
    """As wait_for does."""
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "as if nothing had happened"
    return "never"


async def test_an_operation_of_a_cancelled_task_does_not_return(url: str) -> None:
    """Whoever asks in a loop would otherwise ask for ever."""
    link, started = Link.from_url(url, deadline=5.0), asyncio.Event()
    task = asyncio.create_task(link.run(lambda: swallows(started)))
    await started.wait()
    task.cancel()
    await asyncio.wait([task], timeout=2.0)
    assert task.cancelled()
    await link.close()


async def test_a_deadline_that_was_swallowed_takes_no_answer_away(url: str) -> None:
    """It is the caller's own cancellation that counts: a commit that came through is a commit."""
    link = Link.from_url(url, deadline=0.05)
    assert await link.run(lambda: swallows(asyncio.Event())) == "as if nothing had happened"
    await link.close()


@pytest.mark.parametrize("word", ["SUBSCRIBE", "PING"])
async def test_a_cancelled_subscriber_ends(url: str, word: str) -> None:
    """In the middle of whatever it was sending."""
    link, started = Link.from_url(url, deadline=5.0), asyncio.Event()
    find = link.ear

    async def find_and_swallow(avoid: Callable[[], Collection[str]] = tuple) -> Ear:
        ear = await find(avoid)
        connection = ear.connection
        send: Callable[..., Awaitable[None]] = connection.send_command

        async def send_command(*words: str, **options: bool) -> None:
            await send(*words, **options)
            if words[0] == word:
                await swallows(started)

        connection.send_command = send_command  # type: ignore[method-assign]
        return ear

    link.ear = find_and_swallow  # type: ignore[method-assign] # as redis-py does before Python 3.12

    async def follow() -> None:
        async for _ in wakes(link, lambda _: None, lambda _: None, Random()):
            pass

    task = asyncio.create_task(follow())
    await wait_until(started.is_set)
    task.cancel()
    await asyncio.wait([task], timeout=2.0)
    assert task.cancelled()
    await link.close()
