"""Lists: in pages, one at a time, and no caller keeps the others from theirs."""

import asyncio
import random
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mintonce import MintonceError
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.api.listing import (
    MAX_PAGE_TOKEN,
    Page,
    page_size_of,
    page_token_of,
    place_after,
    place_of,
)
from mintonce_server.calls.list_turns import MAX_LISTS_PER_CALLER, ListTurns
from mintonce_server.core.errors import InvalidRequest, LimitExceeded
from mintonce_server.core.key import TokenKey
from mintonce_server.core.policy import Policy, Rule
from mintonce_server.core.ports import Listing
from mintonce_server.core.secret import Secret
from mintonce_server.core.token import Minted, Token
from support.gatehouse import ALL, gatehouse, rule
from support.house import AUDIENCE, CLIENT


async def test_one_list_is_made_at_a_time() -> None:
    """Who asks meanwhile has the next turn."""
    lists, done = ListTurns(), asyncio.Event()
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
    lists = ListTurns()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lists.turn("many", 10.0))
        waiting = [asyncio.create_task(_wait_for_turn(lists, "many")) for _ in range(MAX_LISTS_PER_CALLER - 1)]
        await asyncio.sleep(0)
        with pytest.raises(LimitExceeded, match="too many lists at once"):
            await _wait_for_turn(lists, "many")
        other = asyncio.create_task(_wait_for_turn(lists, "other"))
        await asyncio.sleep(0)
    await asyncio.gather(other, *waiting)


async def test_a_turn_that_does_not_come_is_an_error() -> None:
    """Its place is free again, and the turn of the others is not lost."""
    lists = ListTurns()
    async with lists.turn("first", 10.0):
        for _ in range(MAX_LISTS_PER_CALLER + 1):
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


async def _wait_for_turn(lists: ListTurns, caller: str, deadline: float = 10.0) -> None:
    async with lists.turn(caller, deadline):
        pass


def token(audience: str, *scopes: str, client: str = "billing", generation: int = 1) -> Token:
    key = TokenKey.of(client, audience, scopes)
    minted = Minted(Secret("text"), "Bearer", lifetime=100.0, started_at=0.0, scopes=scopes)
    return Token.of(minted, key, "hash", generation=generation, credential_version=1, unix_minus_monotonic=0.0)


def pages_of(tokens: Sequence[Token], size: int, hidden: Collection[Token] = ()) -> list[list[Token]]:
    """What a caller sees that follows the page tokens."""
    pages: list[list[Token]] = []
    page_token = ""
    while True:
        page = Page(size, place_after(page_token, "billing"), lambda each: each not in hidden)
        for each in random.sample(tokens, len(tokens)):
            assert not page.offer(each)
        found, last = page.tokens()
        pages.append(found)
        if not (page_token := page_token_of("billing", last)):
            return pages


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 1000])
def test_pages_together_are_the_sorted_list(size: int) -> None:
    """Whatever the order of the store; no token twice, none left out, no page too long, no empty one at the end."""
    in_order = [token("a"), *(token("b", f"s{digit}", "z") for digit in range(6)), token("c", "a")]
    pages = pages_of(in_order, size)
    assert [each for page in pages for each in page] == in_order
    assert all(len(page) == size for page in pages[:-1])
    assert 0 < len(pages[-1]) <= size


def test_what_a_caller_may_not_see_takes_no_room_and_leaves_no_trace() -> None:
    """A page token names the last token that was shown."""
    tokens = [token(letter) for letter in "abcdefgh"]
    hidden = [tokens[index] for index in (0, 2, 3, 5, 7)]
    pages = pages_of(tokens, 2, hidden)
    assert pages == [[tokens[1], tokens[4]], [tokens[6]]]
    assert page_token_of("billing", place_of(tokens[4].key)) == urlsafe_b64encode(
        b"billing\nbilling\ne"
    ).decode().rstrip("=")


def test_a_record_that_is_read_twice_is_listed_once() -> None:
    """With the newer token, if it was replaced between the two."""
    page = Page(2, None, lambda _: True)
    for generation in (1, 3, 2):
        page.offer(token("a", generation=generation))
    assert [each.generation for each in page.tokens()[0]] == [3]


def test_a_page_of_huge_keys_is_shorter() -> None:
    """It must fit into a message."""
    scopes = [f"{number:0256}" for number in range(64)]
    tokens = [token(f"{number:01024}", *scopes) for number in range(70)]
    first, *_ = pages = pages_of(tokens, 1000)
    assert 10 < len(first) < 70
    assert [each for page in pages for each in page] == tokens
    assert len(page_token_of("billing" * 9, place_of(tokens[0].key))) <= MAX_PAGE_TOKEN


@pytest.mark.parametrize(
    "page_token",
    [
        "x",
        "caf\u00e9",
        "AAAA",
        "A" * (MAX_PAGE_TOKEN + 1),
        urlsafe_b64encode(b"billing").decode(),
        urlsafe_b64encode(b"billing\nno/client\na").decode(),
        urlsafe_b64encode(b"billing\nbilling\ntwo  spaces").decode().rstrip("="),
        urlsafe_b64encode(b"billing\nbilling\na\nz\ny").decode().rstrip("="),  # scopes are not sorted
        urlsafe_b64encode(b"billing\nbilling\na").decode() + "\n",
        urlsafe_b64encode(b"\nbilling\na").decode().rstrip("="),
    ],
)
def test_a_page_token_that_no_answer_of_this_list_had_is_refused(page_token: str) -> None:
    """By name; what it holds is not repeated."""
    with pytest.raises(InvalidRequest, match="page_token"):
        place_after(page_token, "billing")


def test_a_negative_page_size_is_refused_and_a_large_one_is_cut() -> None:
    """As AIP-158 says."""
    with pytest.raises(InvalidRequest, match="page_size"):
        page_size_of(-1)
    assert [page_size_of(size) for size in (0, 1, 5000)] == [1000, 1, 1000]


async def test_a_list_is_followed_from_page_to_page(tmp_path: Path, issuer: PracticeIssuer) -> None:
    """By a real client; what the policy hides is in no page."""
    async with gatehouse(tmp_path, issuer) as guarded, guarded.caller("billing") as billing:
        guarded.policy = Policy([Rule("all", ("key:billing",), (CLIENT,), (AUDIENCE,), ("*",), ALL)])
        for letter in "edcba":
            await billing.get(CLIENT, AUDIENCE, [letter])
        async with guarded.caller("operator") as operator:
            guarded.policy = Policy([Rule("ops", ("key:operator",), (CLIENT,), (AUDIENCE,), tuple("acde"), ALL)])
            pages = [page async for page in operator.list_pages(page_size=2)]
            with pytest.raises(MintonceError, match="another client"):
                await operator.list_tokens("other", page_token=pages[0].next_page_token)
    scopes = [[scope for each in page.tokens for scope in each.scopes] for page in pages]
    assert scopes == [["a", "c"], ["d", "e"]]
