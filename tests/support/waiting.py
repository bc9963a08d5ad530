"""Waiting for what will happen, instead of sleeping."""

import asyncio
from collections.abc import Callable

STEP = 0.01


async def wait_until(predicate: Callable[[], object], timeout: float = 5.0) -> None:
    """Until the predicate is true. Fails after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not predicate():  # noqa: ASYNC110 - what is waited for may be a file or another process
            await asyncio.sleep(STEP)
