"""The keys in Redis, and their TTLs."""

from typing import cast

from redis.crc import key_slot

from mintonce_server.common.clock import Clock
from mintonce_server.core.errors import Reason
from mintonce_server.core.ports import Failure
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.names import USUAL
from mintonce_server.store.scripts import ACQUIRE, COMMIT, FAIL, REJECT, RENEW
from support.eventually import eventually
from support.samples import KEY, lease_of, minted, shared
from support.servers import Command, names

DAY = 86_400.0


async def _ttl(command: Command, name: str) -> float:
    """Seconds."""
    ttl = await command("PTTL", name)
    assert isinstance(ttl, int)
    return ttl / 1000


async def _clock_of(command: Command) -> int:
    """Microseconds since 1970, as generations count."""
    seconds, micros = cast(tuple[int, int], await command("TIME"))
    return int(seconds) * 1_000_000 + int(micros)


async def test_the_three_keys_of_a_token_share_a_slot(store: RedisStore) -> None:
    """So every script works on a Cluster."""
    assert len({key_slot(name.encode()) for name in USUAL.keys(store.key_hash(KEY))}) == 1


async def test_nothing_else_is_written(store: RedisStore, command: Command, clock: Clock) -> None:
    """A token's whole life touches only its three keys."""
    token = await shared(store, clock)
    await store.fail(await lease_of(store, newer_than=token.generation), Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
    await lease_of(store, newer_than=token.generation)
    assert await names(command) == sorted(USUAL.keys(store.key_hash(KEY)))


async def test_a_record_lives_as_long_as_its_token(store: RedisStore, command: Command, clock: Clock) -> None:
    """Counted from the start of the POST."""
    await store.commit(await lease_of(store), minted(clock, lifetime=DAY, age=100.0))
    record, _, _ = USUAL.keys(store.key_hash(KEY))
    assert DAY - 110.0 < await _ttl(command, record) <= DAY - 100.0


async def test_a_lease_lives_for_its_seconds(store: RedisStore, command: Command) -> None:
    """Its holder may die."""
    await lease_of(store)
    _, lease, _ = USUAL.keys(store.key_hash(KEY))
    assert 50.0 < await _ttl(command, lease) <= 60.0


async def test_a_barrier_outlives_what_it_bars(store: RedisStore, command: Command, clock: Clock) -> None:
    """Otherwise the rejected token could come back, or a mint begun before."""
    token = await store.commit(await lease_of(store), minted(clock, lifetime=DAY))
    assert isinstance(token, Token)
    await store.reject(KEY, token.generation, 30.0)
    _, _, meta = USUAL.keys(store.key_hash(KEY))
    assert DAY + 3500.0 < await _ttl(command, meta) <= DAY + 3600.0


async def test_generations_rise_after_everything_was_lost(store: RedisStore, command: Command, clock: Clock) -> None:
    """By the server's clock."""
    before = await shared(store, clock)
    await command("FLUSHALL")
    # A generation may be of this very microsecond.
    await eventually(lambda: _clock_of(command), lambda now: now > before.generation)
    assert (await lease_of(store)).generation > before.generation


async def test_generations_are_written_as_whole_numbers(store: RedisStore, command: Command, clock: Clock) -> None:
    """Also where Lua would write 9.007e+15."""
    _, _, meta = USUAL.keys(store.key_hash(KEY))
    await command("HSET", meta, "f", 2**53 - 8)
    await command("PEXPIRE", meta, 60_000)
    token = await shared(store, clock)
    assert token.generation == 2**53 - 7
    assert await command("HGET", meta, "f") == b"%d" % (2**53 - 7)


async def test_scripts_survive_being_forgotten(store: RedisStore, command: Command, clock: Clock) -> None:
    """A restarted server has none of them: each is sent again when it is next used."""
    for _ in range(2):
        token = await shared(store, clock)
        await command("SCRIPT", "FLUSH")
        refresh = await lease_of(store, newer_than=token.generation)
        await command("SCRIPT", "FLUSH")
        assert await store.renew(refresh)
        await command("SCRIPT", "FLUSH")
        await store.fail(refresh, Failure(Reason.ISSUER_UNAVAILABLE), 0.0)
        await command("SCRIPT", "FLUSH")
        assert (await store.reject(KEY, token.generation, 0.0)).was_current


def test_each_script_is_short() -> None:
    """One atomic operation fits on a page."""
    for script in (ACQUIRE, COMMIT, FAIL, RENEW, REJECT):
        assert script.text.count("\n") <= 40
