"""The discovery of servers continues after any error."""

import asyncio

import pytest
from faults.ports import ERRORS
from redis.exceptions import ConnectionError

from mintonce_server.store.topology.discovery import Discovery, poll
from support.waiting import wait_until


async def test_whatever_a_look_raises_the_next_one_comes() -> None:
    """The last view stays meanwhile."""
    errors = [error() for error in ERRORS]
    looks = 0

    async def look() -> str:
        nonlocal looks
        looks += 1
        if looks > 1 and errors:
            raise errors.pop()
        return "where they are" if errors else "somewhere else"

    discovery = Discovery(look, every=0.01, max_wait=60.0)
    assert await discovery.find() == "where they are"
    while errors:
        await discovery.renewed()
        assert discovery.view == "where they are"
    await wait_until(lambda: discovery.view == "somewhere else")
    await discovery.close()


async def test_a_look_that_meets_a_cancellation_is_not_the_last() -> None:
    """Something that it waited for was cancelled, not the task itself."""
    looks = 0

    async def look() -> int:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise asyncio.CancelledError
        return looks

    discovery = Discovery(look, every=60.0, max_wait=60.0)
    await discovery.renewed()
    assert await discovery.find() == 2
    await discovery.close()


async def test_a_look_without_end_is_not_waited_for() -> None:
    """The present view stays, though it is invalidated."""
    looks = 0

    async def look() -> str:
        nonlocal looks
        looks += 1
        if looks > 1:
            await asyncio.Event().wait()
        return "where they are"

    discovery = Discovery(look, every=60.0, max_wait=0.01)
    assert await discovery.find() == "where they are"
    discovery.invalidate()
    async with asyncio.timeout(5.0):
        assert await discovery.find() == "where they are"
        assert not await discovery.renewed(0.01)
    await discovery.close()


async def test_a_question_that_is_cancelled_is_one_without_an_answer() -> None:
    """The others count."""

    async def cancelled() -> int:
        raise asyncio.CancelledError

    async def answered() -> int:
        return 7

    assert await poll([cancelled(), answered(), answered()], 1.0) == [7]
    with pytest.raises(ConnectionError):
        await poll([cancelled()], 1.0)
