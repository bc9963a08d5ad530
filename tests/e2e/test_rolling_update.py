"""Replicas of this release and of the next share one store: what cannot be read is a miss, never a crash or a loop."""

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest

from mintonce_dev.practice_issuer import PracticeIssuer
from mintonce_dev.valkey import EmbeddedValkey
from mintonce_server.core.ports import WakeKind
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.notifications import Notifications
from support.asking import start
from support.servers import Command, looking_into, names

AUDIENCE = "https://api.example.com/"
ROUNDS = 30
WAKES = ("3 commit {hash} {generation}", "2 whatever", "", "1 commit {hash} {generation}", "\x00" * 40)


async def written_by_the_next_release(command: Command) -> int:
    """The record of the only key, replaced by a newer one whose payload only the next release reads; its generation."""
    (record,) = [name for name in await names(command) if name.endswith(":t")]
    generation = int(time.time() * 1_000_000) + 500_000
    payload = b"\x03" + bytes(60)  # its first byte is the format
    await command("HSET", record, "f", generation, "payload", payload, "print", "unknown")
    key_hash = record.partition("{")[2].partition("}")[0]
    for text in WAKES:
        await command("PUBLISH", "mintonce:wake", text.format(hash=key_hash, generation=generation))
    genuine = Notifications(FIXED_KEYRING.index_key).encode(WakeKind.COMMIT, key_hash, generation)
    await command("PUBLISH", "mintonce:wake", genuine)
    return generation


@pytest.mark.slow
async def test_a_record_of_the_next_release_is_a_miss(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """Who holds a live token goes on with it; who has none mints once, and that is all that it costs."""
    async with AsyncExitStack() as stack:
        fleet = await start(stack, tmp_path, settings | {"REVALIDATE_INTERVAL": "1s"}, 2)
        old = await fleet[0].get(AUDIENCE)
        await fleet[1].get(AUDIENCE)
        command = await stack.enter_async_context(looking_into(valkey.url))
        foreign = await written_by_the_next_release(command)
        for _ in range(ROUNDS):
            for served in fleet:
                assert (await served.get(AUDIENCE)).access_token == old.access_token
        assert issuer.posts == 1

        (fresh,) = await start(stack, tmp_path, settings, 1)
        new = await fresh.get(AUDIENCE)
        assert new.generation > foreign
        for _ in range(ROUNDS):
            for served in [*fleet, fresh]:
                assert (await served.get(AUDIENCE)).access_token in (old.access_token, new.access_token)
        assert (await fresh.client.list_tokens()).tokens[0].generation == new.generation
        assert issuer.posts == 2
        for served in [*fleet, fresh]:
            assert "Traceback" not in served.server.log.read_text()
            assert served.server.events("internal_error") == []


async def test_when_the_next_release_reads_both_there_is_no_ping_pong(
    tmp_path: Path, settings: dict[str, str], issuer: PracticeIssuer, valkey: EmbeddedValkey
) -> None:
    """Five times in a row its record stands in the store: each costs this release at most one mint."""
    async with AsyncExitStack() as stack:
        (served,) = await start(stack, tmp_path, settings, 1)
        await served.get(AUDIENCE)
        command = await stack.enter_async_context(looking_into(valkey.url))
        for _ in range(5):
            await written_by_the_next_release(command)
            assert (await served.client.rotate("default", AUDIENCE)).generation
            (record,) = [name for name in await names(command) if name.endswith(":t")]
            current = cast(bytes, await command("HGET", record, "payload"))
            assert current[:1] == b"\x02"
    assert issuer.posts == 6
