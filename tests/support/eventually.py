"""Asking again until the answer is right, instead of sleeping."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
STEP = 0.01


async def eventually(ask: Callable[[], Awaitable[T]], right: Callable[[T], object], within: float = 5.0) -> T:
    """The first right answer. Fails after `within` seconds."""
    async with asyncio.timeout(within):
        while not right(answer := await ask()):  # noqa: ASYNC110 - a server's state has no event to wait on
            await asyncio.sleep(STEP)
    return answer
