"""One shard of a Cluster is dead: its keys are in an outage, and all others notice nothing."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from mintonce import Token
from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_server.core.key import KeyHasher, TokenKey
from mintonce_server.store.names import USUAL
from support import deaf_server
from support.asking import Answer, Served, asking, start
from support.naming import hasher_of
from support.surroundings import smallest_settings
from support.topologies import ClusterTopology, cluster
from support.waiting import wait_until

REVALIDATE = 1.0
ROUNDS = 3
"""So many times each replica asks the store about all that it holds while one shard is dead."""
KEYS = 12


@dataclass
class Broken:
    """Two replicas that hold the same tokens, and a Cluster of which one shard is dead.

    `hears_nothing`: a replica that no wake message reaches. `lost`, `kept`: audiences whose shard is dead, or is not.
    """

    one: Served
    hears_nothing: Served
    lost: list[str]
    kept: list[str]
    tokens: dict[str, Token]


async def shard_of(store: ClusterTopology, hasher: KeyHasher, audience: str) -> str:
    name = USUAL.record(hasher(TokenKey.of("default", audience)))
    return (await store.primary_of(name)).name


@pytest_asyncio.fixture
async def broken(tmp_path: Path, issuer: PracticeIssuer) -> AsyncIterator[Broken]:
    """Nothing takes the place of the shard: its replica is dead, too."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(cluster(tmp_path / "store"))
        for node in store.servers:
            await node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        settings = smallest_settings(issuer, store.url) | {"REVALIDATE_INTERVAL": f"{REVALIDATE}s"}
        (one,) = await start(stack, tmp_path, settings, 1)
        (hears_nothing,) = await start(stack, tmp_path, settings, 1, (deaf_server.PROGRAM,))
        hasher = hasher_of(settings)
        shards: dict[str, list[str]] = {}
        for audience in (f"https://api-{number}.example.com/" for number in range(KEYS)):
            shards.setdefault(await shard_of(store, hasher, audience), []).append(audience)
        name, lost = shards.popitem()
        kept = [audience for audiences in shards.values() for audience in audiences]
        tokens = {audience: await one.get(audience) for audience in (*lost, *kept)}
        for audience in tokens:
            await hears_nothing.get(audience)
        dead = next(node for node in store.servers if node.name == name)
        replica = await store.replica_of(dead)
        await replica.kill()
        await dead.kill()
        yield Broken(one, hears_nothing, lost, kept, tokens)


async def asked_for_some_rounds(audience: str, *fleet: Served) -> list[Answer]:
    """What callers get, until nothing can be served any more by what the store said before."""
    began = time.time()
    async with asking(fleet, audience, timeout=5.0) as answers:
        await wait_until(lambda: answers and answers[-1].began > began + ROUNDS * REVALIDATE, timeout=20.0)
    return [answer for answer in answers if answer.began > began + 1.5 * REVALIDATE]


@pytest.mark.slow
async def test_keys_of_the_other_shards_are_not_degraded(broken: Broken, issuer: PracticeIssuer) -> None:
    """The store confirms them as ever. Those of the dead one are served to their end, marked."""
    for audience, degraded in ((broken.kept[0], False), (broken.lost[0], True)):
        answers = await asked_for_some_rounds(audience, broken.one, broken.hears_nothing)
        tokens = [answer.token for answer in answers if answer.token]
        assert len(tokens) == len(answers)
        assert {(token.access_token, token.degraded) for token in tokens} == {
            (broken.tokens[audience].access_token, degraded)
        }
    assert issuer.posts == KEYS


@pytest.mark.slow
async def test_keys_of_the_other_shards_are_listed(broken: Broken) -> None:
    """Marked as incomplete."""
    listed = await broken.one.client.list_tokens(timeout=10.0)
    assert {token.audience for token in listed.tokens} == set(broken.kept)
    assert listed.incomplete


@pytest.mark.slow
async def test_a_token_of_another_shard_that_was_rejected_is_gone_within_the_bound(
    broken: Broken, issuer: PracticeIssuer
) -> None:
    """Also at a replica that did not hear of it, while callers ask it for keys of the dead shard as well."""
    audience = broken.kept[0]
    await broken.hears_nothing.get(audience)
    async with asking([broken.hears_nothing], broken.lost[0], timeout=5.0):
        assert await broken.one.client.reject("default", audience, token=broken.tokens[audience])
        answers = await asked_for_some_rounds(audience, broken.hears_nothing)
    assert [answer.error for answer in answers if answer.error] == []
    served = {answer.token.access_token for answer in answers if answer.token}
    assert served.isdisjoint({broken.tokens[audience].access_token})
    assert len(served) == 1
    assert issuer.posts == KEYS + 1
