"""A cancelled task ends, even if the library below swallows the cancellation.

asyncio.wait_for does so before Python 3.12 if the send completes in the same moment. It is rare, but then a server
never stops.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from random import Random

import pytest

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore, reading
from mintonce_server.store.link import Link
from mintonce_server.store.notifications import wakes
from mintonce_server.store.topology.servers import Subscription
from support.samples import KEY, OTHER, any_token, shared
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
    """A caller in a loop would otherwise never end."""
    link, started = Link.from_url(url, deadline=5.0), asyncio.Event()
    task = asyncio.create_task(link.run(lambda: swallows(started)))
    await started.wait()
    task.cancel()
    await asyncio.wait([task], timeout=2.0)
    assert task.cancelled()
    await link.close()


async def test_a_deadline_that_was_swallowed_takes_no_answer_away(url: str) -> None:
    """Only the caller's own cancellation counts: a commit that succeeded is a commit."""
    link = Link.from_url(url, deadline=0.05)
    assert await link.run(lambda: swallows(asyncio.Event())) == "as if nothing had happened"
    await link.close()


async def test_a_list_ends_at_a_deadline_that_was_swallowed(
    store: RedisStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its next batch: nothing else would end it."""
    for key in (KEY, OTHER):
        await shared(store, clock, key)
    batches = 0

    async def swallows_once(*_: object) -> dict[str, Token]:
        nonlocal batches
        batches += 1
        if batches == 1:
            await swallows(asyncio.Event())
        return {}

    monkeypatch.setattr(reading, "LIST_DEADLINE", 0.05)
    monkeypatch.setattr(reading, "BATCH", 1)
    monkeypatch.setattr(reading.Reader, "_named", swallows_once)
    with pytest.raises(StoreUnavailable):
        await store.list("", 10, any_token)
    assert batches == 1


@pytest.mark.parametrize("word", ["SUBSCRIBE", "PING"])
async def test_a_cancelled_subscriber_ends(url: str, word: str) -> None:
    """Whatever it was sending."""
    link, started = Link.from_url(url, deadline=5.0), asyncio.Event()
    find = link.subscription

    async def find_and_swallow(avoid: Callable[[], Collection[str]] = tuple) -> Subscription:
        subscription = await find(avoid)
        connection = subscription.connection
        send: Callable[..., Awaitable[None]] = connection.send_command

        async def send_command(*words: str, **options: bool) -> None:
            await send(*words, **options)
            if words[0] == word:
                await swallows(started)

        connection.send_command = send_command  # type: ignore[method-assign]
        return subscription

    link.subscription = find_and_swallow  # type: ignore[method-assign] # as redis-py does before Python 3.12

    async def follow() -> None:
        async for _ in wakes(link, lambda _: None, lambda _: None, Random()):
            pass

    task = asyncio.create_task(follow())
    await wait_until(started.is_set)
    task.cancel()
    await asyncio.wait([task], timeout=2.0)
    assert task.cancelled()
    await link.close()
