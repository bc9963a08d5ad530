"""Lists are made one at a time, and no caller keeps the others from theirs."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.api.lists import MOST_OF_CALLER, Lists
from mintonce_server.core.errors import LimitExceeded
from mintonce_server.core.policy import Policy
from mintonce_server.core.ports import Listing
from mintonce_server.core.token import Token
from support.gatehouse import gatehouse, rule


async def test_one_list_is_made_at_a_time() -> None:
    """Who asks meanwhile has the next turn."""
    lists, done = Lists(), asyncio.Event()
    under_way: list[str] = []

    async def ask(caller: str) -> None:
        async with lists.turn(caller, 10.0):
            under_way.append(caller)
            await done.wait()

    async with asyncio.TaskGroup() as callers:
        for name in ("first", "second"):
            callers.create_task(ask(name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert under_way == ["first"]
        done.set()
    assert under_way == ["first", "second"]


async def test_one_caller_does_not_fill_the_queue() -> None:
    """It has a few places in it; another caller still gets one."""
    lists = Lists()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lists.turn("many", 10.0))
        waiting = [asyncio.create_task(_wait_for_turn(lists, "many")) for _ in range(MOST_OF_CALLER - 1)]
        await asyncio.sleep(0)
        with pytest.raises(LimitExceeded, match="too many lists at once"):
            await _wait_for_turn(lists, "many")
        other = asyncio.create_task(_wait_for_turn(lists, "other"))
        await asyncio.sleep(0)
    await asyncio.gather(other, *waiting)


async def test_whose_turn_does_not_come_is_told() -> None:
    """Its place is free again, and the turn of the others is not lost."""
    lists = Lists()
    async with lists.turn("first", 10.0):
        for _ in range(MOST_OF_CALLER + 1):
            with pytest.raises(LimitExceeded, match="made first"):
                await _wait_for_turn(lists, "late", 0.0)
    await _wait_for_turn(lists, "late")


async def test_a_flood_of_lists_is_made_one_by_one(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """By the server, too: all of one caller's lists together hold up other calls no longer than one."""
    async with gatehouse(tmp_path, issuer) as guarded, guarded.caller("operator") as operator:
        guarded.policy = Policy([rule("ops", "key:operator")])
        made, most = guarded.replica.broker.list_tokens, 0
        under_way: set[object] = set()

        async def counted(client: str, limit: int, wanted: Callable[[Token], bool]) -> Listing:
            nonlocal most
            under_way.add(this := object())
            most = max(most, len(under_way))
            await asyncio.sleep(0)  # as a store in the network does
            try:
                return await made(client, limit, wanted)
            finally:
                under_way.remove(this)

        guarded.replica.broker.list_tokens = counted  # type: ignore[method-assign] # to look on
        await asyncio.gather(*(operator.list_tokens() for _ in range(50)), return_exceptions=True)

    assert most == 1


async def _wait_for_turn(lists: Lists, caller: str, deadline: float = 10.0) -> None:
    async with lists.turn(caller, deadline):
        pass
