"""Sealed records in a real server: rotation, keys of other replicas, and what a thief finds."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Hit, Lease
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import Keyring, SealingKey
from mintonce_server.store.names import USUAL
from mintonce_server.store.redis import Resealed
from support.lossy import lossy
from support.options import redis_store
from support.samples import KEY, OTHER, acquire_request, lease_of, load_all, minted, shared
from support.servers import Command

MANY_RECORDS = """for i = 1, 1500 do
  local name = 'mintonce:{' .. i .. '}:t'
  redis.call('HSET', name, 'f', '1')
  redis.call('EXPIRE', name, 60)
end"""
"""More than one batch of a walk."""

OLD, NEW = (SealingKey.of(bytes([number]) * 32) for number in (1, 2))


@asynccontextmanager
async def store_with(
    url: str, *keys: SealingKey, told: list[tuple[str, str]] | None = None
) -> AsyncGenerator[RedisStore]:
    """A replica's store that has these keys."""
    keyring, heard = Keyring(b"index", keys), told if told is not None else list[tuple[str, str]]()

    def alarm(key_hash: str, what: str) -> None:
        heard.append((key_hash, what))

    store = redis_store(
        url, clock=SystemClock(), keyring=lambda: keyring, lease_seconds=60.0, deadline=5.0, on_unreadable=alarm
    )
    try:
        yield store
    finally:
        await store.close()


async def test_after_a_rotation_all_is_found_and_resealed_by_and_by(
    url: str, command: Command, clock: SystemClock
) -> None:
    """The old token is a hit; its successor is sealed with the new key."""
    async with store_with(url, OLD) as before, store_with(url, NEW, OLD) as after:
        token = await shared(before, clock)
        await _same(after, token)
        lease = await lease_of(after, newer_than=token.generation)
        assert isinstance(await after.commit(lease, minted(clock, "next")), Token)
        assert await load_all(before, [KEY]) == [None]


async def _same(store: RedisStore, token: Token) -> Token | None:
    (found,) = await load_all(store, [KEY])
    assert found is not None
    assert (found.generation, found.access_token) == (token.generation, token.access_token)
    return found


async def test_resealing_changes_the_key_and_nothing_else(url: str, command: Command, clock: SystemClock) -> None:
    """The token, its generation and its expiry stay; afterwards the old key is not needed."""
    async with store_with(url, OLD) as before, store_with(url, NEW, OLD) as after, store_with(url, NEW) as alone:
        token = await shared(before, clock)
        await shared(after, clock, OTHER)
        ends = await command("PEXPIRETIME", USUAL.keys(before.key_hash(KEY))[0])

        done = await after.reseal()

        assert (done.resealed, done.already, done.unreadable) == (1, 1, 0)
        assert await command("PEXPIRETIME", USUAL.keys(before.key_hash(KEY))[0]) == ends
        assert (await _same(alone, token)) is not None
        again = await after.reseal()
        assert (again.resealed, again.already) == (0, 2)


async def test_a_replica_without_the_key_reports_once_and_finds_a_miss(
    url: str, command: Command, clock: SystemClock
) -> None:
    """A record that cannot be opened is a miss and an alarm, which names the missing key."""
    told: list[tuple[str, str]] = []
    async with store_with(url, OLD) as theirs, store_with(url, NEW, told=told) as ours:
        await shared(theirs, clock)
        assert await load_all(ours, [KEY]) == [None]
        lease = await ours.acquire(KEY, acquire_request())
        assert isinstance(lease, Lease)
        assert isinstance(await ours.commit(lease, minted(clock, "ours")), Token)
        assert isinstance(await ours.acquire(KEY, acquire_request()), Hit)

    assert [key_hash for key_hash, _ in told] == [ours.key_hash(KEY)]
    assert OLD.id.hex() in told[0][1]


async def test_swapped_records_are_misses(url: str, command: Command, clock: SystemClock) -> None:
    """An attacker who writes to the store cannot give one caller the token of another."""
    async with store_with(url, OLD) as store:
        await shared(store, clock, OTHER)
        await shared(store, clock)
        mine, other = (USUAL.keys(store.key_hash(key))[0] for key in (KEY, OTHER))
        stolen = await command("HGET", other, "payload")
        assert isinstance(stolen, bytes)
        await command("HSET", mine, "payload", stolen)

        assert await load_all(store, [KEY]) == [None]


async def test_a_dump_of_everything_shows_nothing(url: str, command: Command, clock: SystemClock) -> None:
    """Neither token nor client, audience or scope."""
    async with store_with(url, OLD) as store:
        await shared(store, clock)
        await lease_of(store, OTHER)
        found = b""
        names = cast(list[bytes], await command("KEYS", "*"))
        for name in names:
            found += name + repr(await command("HGETALL", name)).encode()

    assert len(names) >= 3
    for secret in (b"a-token", KEY.client.encode(), OTHER.client.encode(), b"example.com", b"orders"):
        assert secret not in found


async def test_invented_keys_are_soon_gone(url: str, command: Command) -> None:
    """A token that was never minted leaves nothing behind that lives as long as a token."""
    async with store_with(url, OLD) as store:
        await store.acquire(KEY, acquire_request())
        ttl = await command("PTTL", USUAL.keys(store.key_hash(KEY))[2])
    assert isinstance(ttl, int)
    assert 0 < ttl <= 3_600_000


async def test_resealing_while_others_commit_loses_nothing(url: str, command: Command, clock: SystemClock) -> None:
    """In either order, the newest token is there and can be opened."""
    keys = [TokenKey.of("billing", f"https://{number}.example.com/") for number in range(40)]
    async with store_with(url, OLD) as before, store_with(url, NEW, OLD) as after:
        first = [await shared(before, clock, key) for key in keys]

        async def succeed(token: Token) -> Token:
            lease = await lease_of(before, token.key, newer_than=token.generation)
            answer = await before.commit(lease, minted(clock, f"next-of-{token.key.audience}"))
            assert isinstance(answer, Token)
            return answer

        *newest, done = await asyncio.gather(*map(succeed, first), after.reseal())
        found = await load_all(after, keys)

    assert [token and token.access_token for token in found] == [
        token.access_token for token in newest if isinstance(token, Token)
    ]
    assert isinstance(done, Resealed)
    assert done.unreadable == 0


async def test_a_record_that_was_replaced_meanwhile_is_left_alone(
    url: str, command: Command, clock: SystemClock
) -> None:
    """Resealing compares the payload, not only the generation: a second resealing in parallel does nothing."""
    async with store_with(url, OLD) as before, store_with(url, NEW, OLD) as after:
        token = await shared(before, clock)
        (row,) = [row async for _, row in before._reader.everything()]
        assert row is not None
        await after.reseal()
        name = USUAL.keys(token.key_hash)[0]
        sealed = await command("HGET", name, "payload")

        assert not await after._reseal(token.key_hash, row, b"stale")
        assert await command("HGET", name, "payload") == sealed


async def test_resealing_that_broke_off_says_so(url: str, command: Command, tmp_path: Path) -> None:
    """Otherwise the operator would remove the old key from the file."""
    await command("EVAL", MANY_RECORDS, 0)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(lossy(urlsplit(url).path, tmp_path / "lossy.sock"))
        beside = f"unix://:{urlsplit(url).password}@{tmp_path}/lossy.sock"
        store = await stack.enter_async_context(store_with(beside, OLD))
        walk = store._reader.everything()
        await anext(walk)
        proxy.lose_next()

        with pytest.raises(StoreUnavailable):
            _ = [row async for row in walk]
        assert proxy.lost == 1
