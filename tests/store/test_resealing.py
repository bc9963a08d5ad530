"""Sealed records in a real server: rotation, other replicas' keys, and what a thief finds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mintonce_server.core.ports import Hit, Lease
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import Keyring, SealingKey
from mintonce_server.store.scripts import keys_of
from mintonce_server.telemetry.clock import SystemClock
from support.samples import KEY, OTHER, lease_of, minted, shared, wish
from support.servers import Command

OLD, NEW = (SealingKey.of(bytes([number]) * 32) for number in (1, 2))


@asynccontextmanager
async def store_with(
    url: str, *keys: SealingKey, told: list[tuple[str, str]] | None = None
) -> AsyncIterator[RedisStore]:
    """A replica's store that has these keys."""
    keyring, told = Keyring(b"index", keys), [] if told is None else told
    alarm = lambda key_hash, what: told.append((key_hash, what))  # noqa: E731 - shorter than a name for it
    store = RedisStore.connect(
        url, clock=SystemClock(), keyring=lambda: keyring, lease_seconds=60.0, deadline=5.0, alarm=alarm
    )
    try:
        yield store
    finally:
        await store.close()


async def test_after_a_rotation_all_is_found_and_sealed_anew_by_and_by(
    url: str, command: Command, clock: SystemClock
) -> None:
    """The old token is a hit; its successor is sealed with the new key."""
    async with store_with(url, OLD) as before, store_with(url, NEW, OLD) as after:
        token = await shared(before, clock)
        await _same(after, token)
        lease = await lease_of(after, newer_than=token.generation)
        assert isinstance(await after.commit(lease, minted(clock, "next")), Token)
        assert await before.load([KEY]) == [None]


async def _same(store: RedisStore, token: Token) -> Token | None:
    (found,) = await store.load([KEY])
    assert found is not None
    assert (found.generation, found.access_token) == (token.generation, token.access_token)
    return found


async def test_resealing_changes_the_key_and_nothing_else(url: str, command: Command, clock: SystemClock) -> None:
    """The token, its generation and its end stay; afterwards the old key is not needed."""
    async with store_with(url, OLD) as before, store_with(url, NEW, OLD) as after, store_with(url, NEW) as alone:
        token = await shared(before, clock)
        await shared(after, clock, OTHER)
        ends = await command("PEXPIRETIME", keys_of(before.key_hash(KEY))[0])

        done = await after.reseal()

        assert (done.resealed, done.already, done.unreadable) == (1, 1, 0)
        assert await command("PEXPIRETIME", keys_of(before.key_hash(KEY))[0]) == ends
        assert (await _same(alone, token)) is not None
        again = await after.reseal()
        assert (again.resealed, again.already) == (0, 2)


async def test_who_lacks_the_key_is_told_once_and_finds_a_miss(url: str, command: Command, clock: SystemClock) -> None:
    """A record that does not open is a miss and an alarm, which names the key that is missing."""
    told: list[tuple[str, str]] = []
    async with store_with(url, OLD) as theirs, store_with(url, NEW, told=told) as ours:
        await shared(theirs, clock)
        assert await ours.load([KEY]) == [None]
        lease = await ours.acquire(KEY, wish())
        assert isinstance(lease, Lease)
        assert isinstance(await ours.commit(lease, minted(clock, "ours")), Token)
        assert isinstance(await ours.acquire(KEY, wish()), Hit)

    assert [key_hash for key_hash, _ in told] == [ours.key_hash(KEY)]
    assert OLD.id.hex() in told[0][1]


async def test_swapped_records_are_misses(url: str, command: Command, clock: SystemClock) -> None:
    """Who writes to the store cannot give one caller the token of another."""
    async with store_with(url, OLD) as store:
        await shared(store, clock, OTHER)
        await shared(store, clock)
        mine, other = (keys_of(store.key_hash(key))[0] for key in (KEY, OTHER))
        stolen = await command("HGET", other, "payload")
        assert isinstance(stolen, bytes)
        await command("HSET", mine, "payload", stolen)

        assert await store.load([KEY]) == [None]


async def test_a_dump_of_everything_shows_nothing(url: str, command: Command, clock: SystemClock) -> None:
    """Neither token nor client, audience or scope."""
    async with store_with(url, OLD) as store:
        await shared(store, clock)
        await lease_of(store, OTHER)
        found = b""
        names = await command("KEYS", "*")
        assert isinstance(names, list)
        for name in names:
            assert isinstance(name, bytes)
            found += name + repr(await command("HGETALL", name)).encode()

    assert len(names) >= 3
    for secret in (b"a-token", KEY.client.encode(), OTHER.client.encode(), b"example.com", b"orders"):
        assert secret not in found


async def test_keys_that_somebody_invents_are_soon_gone(url: str, command: Command) -> None:
    """What was never minted leaves nothing behind that lives as long as a token."""
    async with store_with(url, OLD) as store:
        await store.acquire(KEY, wish())
        ttl = await command("PTTL", keys_of(store.key_hash(KEY))[2])
    assert isinstance(ttl, int)
    assert 0 < ttl <= 3_600_000
