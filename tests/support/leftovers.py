"""What every test gets: it may leave no task behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import settings

# Machines are slow now and then: how long an example takes proves nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest_asyncio.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    """Every task has an owner that ends it: what still runs after a test is a leak."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        await asyncio.wait(left, timeout=1.0)
    names = [task.get_name() for task in left if not task.done()]
    if names:
        pytest.fail(f"tasks left behind: {names}")
