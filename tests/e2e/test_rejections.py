"""What a rejection costs the fleet: one mint, whatever the caller names and whatever happened to the store before."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce import Refused, Token, Unavailable
from mintonce_dev.practice_issuer import PracticeIssuer
from support import measured_server
from support.asking import Served, asking, start, watching
from support.eventually import eventually
from support.fault_proxy import Hole, fault_proxy
from support.replicas import PROGRAM
from support.speech import resp
from support.surroundings import smallest_settings
from support.topologies import Topology, single
from support.waiting import wait_until

AUDIENCE = "https://api.example.com/"
REVALIDATE = 1.0
ROUNDS = 3
"""So many times each replica asks the store about all that it holds, before a test says that nothing happens."""
CLOCKS = [
    pytest.param(PROGRAM, id="right clock"),
    pytest.param((measured_server.PROGRAM, "7200"), id="clock ahead"),
]
"""Of the host of the replica that mints alone."""
MOST_POSTS = 2
"""The token that was minted alone, and its successor after the rejection."""


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Topology]:
    """By TCP, so that a proxy may stand before it."""
    async with single(tmp_path / "store") as running:
        yield running


@pytest.fixture
def usual(issuer: PracticeIssuer, store: Topology) -> dict[str, str]:
    return smallest_settings(issuer, store.url) | {"REVALIDATE_INTERVAL": f"{REVALIDATE}s", "REDIS__TIMEOUT": "500ms"}


async def minted_alone(served: Served) -> Token:
    """What a replica serves while its store is out of reach."""
    token = await served.get(AUDIENCE)
    assert token.degraded
    return token


async def reject(served: Served, token: Token) -> None:
    """As an integration does after a 401, until the server has the store again and acknowledges it."""

    async def acknowledged() -> bool:
        try:
            await served.client.reject("default", AUDIENCE, generation=token.generation)
        except Unavailable:
            return False
        return True

    await eventually(acknowledged, bool)


async def served_for_some_rounds(*fleet: Served) -> set[str]:
    """The tokens that callers at all of these got meanwhile. No call may fail."""
    began = time.time()
    async with asking(fleet, AUDIENCE, timeout=5.0) as answers:
        await wait_until(lambda: answers and answers[-1].began > began + ROUNDS * REVALIDATE, timeout=20.0)
    assert [answer.error for answer in answers if answer.error] == []
    return {answer.token.access_token for answer in answers if answer.token}


async def check_one_successor(rejected: Token, issuer: PracticeIssuer, other: Served, told: Served) -> None:
    """It is minted for a watch at a replica that did not take the rejection. All replicas accept and keep it."""
    async with watching(other, AUDIENCE) as sent:
        await wait_until(lambda: sent)
        served = await served_for_some_rounds(other, told)
    assert rejected.access_token not in served | {token.access_token for token in sent}
    assert issuer.posts <= MOST_POSTS
    assert len(served) == 1


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [1, 2**53, 2**62], ids=["current + 1", "2^53", "2^62"])
async def test_a_generation_that_never_was_changes_nothing(
    tmp_path: Path, usual: dict[str, str], issuer: PracticeIssuer, ahead: int
) -> None:
    """One POST in all, and a watch at another replica keeps its token."""
    async with AsyncExitStack() as stack:
        one, other = await start(stack, tmp_path, usual, 2)
        async with watching(other, AUDIENCE) as sent:
            await wait_until(lambda: sent)
            invented = ahead if ahead > 1 else sent[0].generation + 1
            for served in (one, other):
                with pytest.raises(Refused) as caught:
                    await served.client.reject("default", AUDIENCE, generation=invented)
                assert caught.value.reason == "INVALID_REQUEST"
            assert await served_for_some_rounds(one, other) == {sent[0].access_token}
        assert len(sent) == 1
    assert issuer.posts == 1


@pytest.mark.slow
@pytest.mark.parametrize("program", CLOCKS)
async def test_a_token_minted_behind_a_broken_link_can_be_rejected(
    tmp_path: Path, usual: dict[str, str], issuer: PracticeIssuer, store: Topology, program: tuple[str, ...]
) -> None:
    """A replica loses the store and mints alone. The link is back, that token is rejected: one successor for all."""
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(fault_proxy(store.servers[0].port, resp))
        behind = usual | {"REDIS_URL": store.url.replace(f":{store.servers[0].port}/", f":{link.port}/")}
        (cut_off,) = await start(stack, tmp_path, behind, 1, program)
        (other,) = await start(stack, tmp_path, usual, 1)
        link.hole = Hole.ALL
        token = await minted_alone(cut_off)
        link.heal()
        await reject(cut_off, token)
        await check_one_successor(token, issuer, other, cut_off)


@pytest.mark.slow
@pytest.mark.parametrize("program", CLOCKS)
async def test_a_store_that_is_emptied_after_the_rejection_brings_no_storm(
    tmp_path: Path, usual: dict[str, str], issuer: PracticeIssuer, store: Topology, program: tuple[str, ...]
) -> None:
    """A mint alone, its rejection, FLUSHALL, and a new replica whose watch needs a token at once."""
    async with AsyncExitStack() as stack:
        (old,) = await start(stack, tmp_path, usual, 1, program)
        store.servers[0].stop()
        token = await minted_alone(old)
        store.servers[0].resume()
        await reject(old, token)
        await store.empty()
        (newcomer,) = await start(stack, tmp_path, usual, 1)
        await check_one_successor(token, issuer, newcomer, old)
