"""A client moved to another tenant: records of the old one are other keys' records, and nothing else."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.ports import Hit, Lease
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import Keyring, SealingKey
from mintonce_server.store.names import USUAL
from mintonce_server.store.redis import Resealed
from support.options import redis_store
from support.samples import KEY, OTHER, acquire_request, any_token, load_all, minted, named, shared
from support.servers import Command

BEFORE: Final = {KEY.client: "the old tenant", OTHER.client: "unchanged"}
AFTER: Final = {**BEFORE, KEY.client: "the new tenant"}
OLD, NEW = (SealingKey.of(bytes([number]) * 32) for number in (1, 2))


@asynccontextmanager
async def store_of(
    url: str, clock: Clock, identities: Mapping[str, str], *keys: SealingKey, alarms: list[str] | None = None
) -> AsyncGenerator[RedisStore]:
    """A replica's store; `alarms` gets the reports of unreadable records."""
    keyring = Keyring(b"index", keys or (OLD,))

    def alarm(_: str, reason: str) -> None:
        if alarms is not None:
            alarms.append(reason)

    store = redis_store(
        url,
        clock=clock,
        keyring=lambda: keyring,
        identities=identities,
        deadline=5.0,
        on_unreadable=alarm,
    )
    try:
        yield store
    finally:
        await store.close()


async def test_the_old_tenants_token_is_a_miss(url: str, command: Command, clock: Clock) -> None:
    """For every way of reading; the new token is shared among the replicas with the new settings."""
    async with store_of(url, clock, BEFORE) as old, store_of(url, clock, AFTER) as new:
        await shared(old, clock)
        assert await load_all(new, [KEY]) == [None]
        assert await new.generations([KEY]) == [0]
        assert isinstance(await new.acquire(KEY, acquire_request()), Lease)


async def test_other_clients_keep_theirs(url: str, command: Command, clock: Clock) -> None:
    """Only the client that has moved mints."""
    async with store_of(url, clock, BEFORE) as old, store_of(url, clock, AFTER) as new:
        token = await shared(old, clock, OTHER)
        assert isinstance(await new.acquire(OTHER, acquire_request()), Hit)
        assert [named(found) for found in await load_all(new, [OTHER])] == [named(token)]


async def test_replicas_with_old_and_new_settings_serve_their_own_tenants(
    url: str, command: Command, clock: Clock
) -> None:
    """During a rolling update: no commit, rejection or restore of one changes the record of the other."""
    async with store_of(url, clock, BEFORE) as old, store_of(url, clock, AFTER) as new:
        theirs = await shared(old, clock)
        lease = await new.acquire(KEY, acquire_request())
        assert isinstance(lease, Lease)
        ours = await new.commit(lease, minted(clock, "of-the-new-tenant"))
        assert isinstance(ours, Token)
        assert [named(found) for found in await load_all(old, [KEY])] == [named(theirs)]
        assert (await old.reject(KEY, theirs.generation, 0.0)).was_current
        assert isinstance(await new.restore(ours), Token)
        assert [named(found) for found in await load_all(new, [KEY])] == [named(ours)]
        assert await load_all(old, [KEY]) == [None]


async def test_the_old_tenants_record_is_not_listed_and_raises_no_alarm(
    url: str, command: Command, clock: Clock
) -> None:
    """It can be opened, and it is not ours; it stays until its TTL ends."""
    alarms: list[str] = []
    async with store_of(url, clock, BEFORE) as old, store_of(url, clock, AFTER, alarms=alarms) as new:
        theirs, kept = await shared(old, clock), await shared(old, clock, OTHER)
        assert [named(found) for found in (await new.list("", 10, any_token)).tokens] == [named(kept)]
        assert (await new.list(KEY.client, 10, any_token)).tokens == []
        await load_all(new, [KEY])
        assert alarms == []
        assert await command("EXISTS", USUAL.record(theirs.key_hash)) == 1


async def test_a_new_seal_goes_on_the_old_tenants_record_too(url: str, command: Command, clock: Clock) -> None:
    """A replica with the old settings may still serve it after the old sealing key is gone."""
    async with (
        store_of(url, clock, BEFORE) as old,
        store_of(url, clock, AFTER, NEW, OLD) as new,
        store_of(url, clock, BEFORE, NEW) as later,
    ):
        token = await shared(old, clock)
        assert await new.reseal() == Resealed(resealed=1)
        assert [named(found) for found in await load_all(later, [KEY])] == [named(token)]
