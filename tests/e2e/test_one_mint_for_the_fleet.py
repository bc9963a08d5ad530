"""The main job, with real processes: what many ask for is minted once."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mintonce import AsyncTokenClient, Token
from mintonce_dev.valkey import EmbeddedValkey
from support.replicas import replica
from support.surroundings import claims, issuer_with_log, posts, smallest_settings

REPLICAS = 3
CALLERS = 300
AUDIENCES = [f"https://api-{n}.example.com/" for n in range(20)]


async def start_fleet(stack: AsyncExitStack, directory: Path, settings: Mapping[str, str]) -> list[AsyncTokenClient]:
    """A client for each of three replicas that start together."""
    starting = [stack.enter_async_context(replica(directory, settings)) for _ in range(REPLICAS)]
    return [await stack.enter_async_context(AsyncTokenClient((await start).target)) for start in starting]


async def ask_all(clients: list[AsyncTokenClient]) -> dict[str, set[Token]]:
    """300 callers at once, over all keys and replicas in random order; the tokens they got, by audience."""
    asked = [(clients[n % len(clients)], AUDIENCES[n % len(AUDIENCES)]) for n in range(CALLERS)]
    random.shuffle(asked)
    tokens = await asyncio.gather(*(client.get("default", audience, timeout=30.0) for client, audience in asked))
    got: dict[str, set[Token]] = {audience: set() for audience in AUDIENCES}
    for (_, audience), token in zip(asked, tokens, strict=True):
        got[audience].add(token)
    return got


def texts(tokens: set[Token]) -> set[str]:
    return {token.access_token for token in tokens}


async def test_300_callers_on_20_cold_keys_cost_20_mints_and_a_restart_none(tmp_path: Path) -> None:
    """The issuer's own log is the witness: a POST a key, whatever the number of callers, replicas and restarts."""
    log = tmp_path / "posts.jsonl"
    async with AsyncExitStack() as surroundings:
        valkey = await surroundings.enter_async_context(EmbeddedValkey(tmp_path / "valkey"))
        issuer = surroundings.enter_context(issuer_with_log(log, lifetime=3600.0))
        settings = smallest_settings(issuer, valkey.url)

        async with AsyncExitStack() as fleet:
            first = await ask_all(await start_fleet(fleet, tmp_path, settings))
        assert Counter(post["audience"] for post in posts(log)) == Counter(AUDIENCES)
        for audience, tokens in first.items():
            (text,) = texts(tokens)
            assert claims(text)["aud"] == audience

        async with AsyncExitStack() as fleet:
            again = await ask_all(await start_fleet(fleet, tmp_path, settings))
        assert len(posts(log)) == 20
        assert {audience: texts(tokens) for audience, tokens in again.items()} == {
            audience: texts(tokens) for audience, tokens in first.items()
        }


@pytest.mark.slow
async def test_a_token_that_reaches_its_end_costs_one_more_mint_for_the_fleet(tmp_path: Path) -> None:
    """Three replicas watch 20 keys through a change of generation: all watches see it, the issuer one POST each."""
    log = tmp_path / "posts.jsonl"
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(EmbeddedValkey(tmp_path / "valkey"))
        issuer = stack.enter_context(issuer_with_log(log, lifetime=8.0))
        clients = await start_fleet(stack, tmp_path, smallest_settings(issuer, valkey.url))
        await ask_all(clients)

        async def two_generations(client: AsyncTokenClient, audience: str) -> list[Token]:
            seen: list[Token] = []
            async with client.watch("default", audience, timeout=30.0) as watch:
                async for token in watch:
                    seen.append(token)
                    if len(seen) == 2:
                        break
            return seen

        watches = await asyncio.gather(
            *(two_generations(client, audience) for client in clients for audience in AUDIENCES)
        )
        assert Counter(post["audience"] for post in posts(log)) == Counter(AUDIENCES * 2)
    for old, new in watches:
        assert new.generation > old.generation
    assert len({text for pair in watches for text in texts({pair[1]})}) == 20
