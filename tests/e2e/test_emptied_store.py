"""The store forgets everything under a fleet that holds tokens: they are given back, and the issuer hears nothing."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from mintonce import Origin, Token
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from support.asking import Served, asking, start
from support.eventually import eventually
from support.servers import Command, looking_into, names
from support.waiting import wait_until

AUDIENCES = [f"https://api-{n}.example.com/" for n in range(5)]


@pytest_asyncio.fixture
async def fleet(tmp_path: Path, settings: dict[str, str]) -> AsyncIterator[list[Served]]:
    """Three replicas; between any two looks at the store a second passes."""
    async with AsyncExitStack() as stack:
        yield await start(stack, tmp_path, settings | {"REVALIDATE_INTERVAL": "2s"}, 3)


async def restarted(valkey: EmbeddedValkey) -> None:
    """Killed; its supervisor restarts it, without data."""
    pid = valkey.pid
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: valkey.pid != pid)


async def flushed(valkey: EmbeddedValkey) -> None:
    """Emptied while all connections stay: there is no message."""
    async with looking_into(valkey.url) as command:
        await command("FLUSHALL")
        await command("SCRIPT", "FLUSH")


async def generations(command: Command) -> set[int]:
    """Those of all records in the store."""
    records = [name for name in await names(command) if name.endswith(":t")]
    return {int(cast(bytes, await command("HGET", name, "f"))) for name in records}


async def tokens_of(served: Served) -> dict[str, Token]:
    return {audience: await served.get(audience) for audience in AUDIENCES}


def texts(tokens: dict[str, Token]) -> dict[str, tuple[int, str]]:
    return {audience: (token.generation, token.access_token) for audience, token in tokens.items()}


@pytest.mark.parametrize(
    ("emptied", "in_use"), [(restarted, False), pytest.param(flushed, True, marks=pytest.mark.slow)]
)
async def test_an_emptied_store_gets_its_tokens_back_and_the_issuer_no_post(
    tmp_path: Path,
    settings: dict[str, str],
    issuer: PracticeIssuer,
    valkey: EmbeddedValkey,
    fleet: list[Served],
    emptied: Callable[[EmbeddedValkey], Awaitable[None]],
    in_use: bool,
) -> None:
    """Same text, same generation; callers notice nothing; a replica that starts then takes them from the store.

    After a restart no call is needed. A store that is emptied behind a connection that stays is noticed by its use.
    """
    first = await tokens_of(fleet[0])
    for served in fleet[1:]:
        assert texts(await tokens_of(served)) == texts(first)
    async with asking(fleet, AUDIENCES[0], timeout=2.0) as answers, looking_into(valkey.url) as command:
        await emptied(valkey)

        async def looked() -> set[int]:
            if in_use:
                assert texts(await tokens_of(fleet[0])) == texts(first)
            return await generations(command)

        await eventually(looked, lambda found: found == {token.generation for token in first.values()}, within=15.0)
    assert {answer.token and answer.token.access_token for answer in answers} == {first[AUDIENCES[0]].access_token}

    async with AsyncExitStack() as stack:
        (fresh,) = await start(stack, tmp_path, settings, 1)
        got = await tokens_of(fresh)
    assert texts(got) == texts(first)
    assert {token.origin for token in got.values()} == {Origin.STORE}
    assert issuer.posts == len(AUDIENCES)
    assert sum(len(served.server.events("restored")) for served in fleet) >= len(AUDIENCES)
