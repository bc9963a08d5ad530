"""The unsealed fields of a record serve the scripts. A reader trusts them as far as the seal confirms them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import pytest
import pytest_asyncio

from mintonce_server.common.clock import Clock, SystemClock
from mintonce_server.core.errors import Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Backoff, Failure, Hit
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.names import USUAL
from mintonce_server.store.record import FIELDS, Row, encode
from support.options import redis_store
from support.samples import HASHER, KEY, OTHER, acquire_request, any_token, as_lease, minted, shared
from support.servers import Command

DAY = 86_400_000
RECORD, LEASE, META = USUAL.keys(HASHER(KEY))
HOUR = 3_600_000
REFUSED = Failure(Reason.ISSUER_REFUSED)
NOW = 1_800_000_000_000
"""The store's time, in ms."""


@dataclass
class Watched:
    """A store, and its alarms."""

    store: RedisStore
    alarms: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


@pytest_asyncio.fixture
async def watched(url: str, command: Command, clock: SystemClock) -> AsyncIterator[Watched]:
    def alarm(key_hash: str, why: str) -> None:
        made.alarms.append((key_hash, why))

    made = Watched(redis_store(url, hasher=HASHER, clock=clock, lease_seconds=60.0, deadline=5.0, on_unreadable=alarm))
    yield made
    await made.store.close()


async def test_a_later_expiry_is_not_believed(watched: Watched, command: Command, clock: Clock) -> None:
    """No reader serves it, and the next generation is minted."""
    store, token = watched.store, await shared(watched.store, clock, lifetime=100.0)
    later = int(token.expiry_unix * 1000) + 25 * DAY
    await command("HSET", RECORD, "exp", later)
    await command("PEXPIREAT", RECORD, later)
    assert await store.load([KEY]) == [None]
    assert (await store.list("", 10, any_token)).tokens == []
    assert as_lease(await store.acquire(KEY, acquire_request())).generation > token.generation
    assert [key_hash for key_hash, _ in watched.alarms] == [store.key_hash(KEY)]


async def test_a_later_expiry_within_the_lifetime_is_not_believed(
    watched: Watched, command: Command, clock: Clock
) -> None:
    """A token at half of its lifetime does not start again."""
    lease = as_lease(await watched.store.acquire(KEY, acquire_request()))
    token = await watched.store.commit(lease, minted(clock, lifetime=100.0, age=50.0))
    assert isinstance(token, Token)
    later = int(token.expiry_unix * 1000) + 40_000
    await command("HSET", RECORD, "exp", later)
    await command("PEXPIREAT", RECORD, later)
    assert await watched.store.load([KEY]) == [None]


async def test_a_sooner_expiry_is_believed(watched: Watched, command: Command, clock: Clock) -> None:
    """A party that can delete a record can shorten its lifetime as well."""
    token = await shared(watched.store, clock, lifetime=100.0)
    await command("HSET", RECORD, "exp", int(token.expiry_unix * 1000) - 20_000)
    answer = await watched.store.acquire(KEY, acquire_request())
    assert isinstance(answer, Hit)
    assert answer.token.remaining(clock.monotonic()) <= 80.0
    assert not watched.alarms


@pytest.mark.parametrize("version", [0, 2])
async def test_another_credential_version_is_not_believed(
    watched: Watched, command: Command, clock: Clock, version: int
) -> None:
    """A token of a replaced secret does not pass for one of the new secret."""
    await shared(watched.store, clock, cv=1)
    await command("HSET", RECORD, "cv", version)
    assert await watched.store.load([KEY]) == [None]
    as_lease(await watched.store.acquire(KEY, acquire_request(cv=version)))
    assert watched.alarms


async def test_a_lease_without_an_end_holds_no_call_up(watched: Watched, command: Command) -> None:
    """Replicas write leases that expire. One without a TTL would block the key until an operator removes it."""
    await command("HSET", LEASE, "nonce", "of no replica", "f", 5)
    as_lease(await watched.store.acquire(KEY, acquire_request()))
    assert int(str(await command("PTTL", LEASE))) > 0


async def test_a_back_off_longer_than_any_issuer_asks_for_holds_no_call_up(watched: Watched, command: Command) -> None:
    """It was written by another program, or before the store's clock was set back."""
    await watched.store.fail(as_lease(await watched.store.acquire(KEY, acquire_request())), REFUSED, 10.0)
    await command("HSET", META, "until", 2**52)
    as_lease(await watched.store.acquire(KEY, acquire_request()))


async def test_the_longest_back_off_that_an_issuer_asks_for_holds(watched: Watched) -> None:
    """For all of five minutes."""
    await watched.store.fail(as_lease(await watched.store.acquire(KEY, acquire_request())), REFUSED, 300.0)
    answer = await watched.store.acquire(KEY, acquire_request())
    assert isinstance(answer, Backoff)
    assert answer.seconds > 250.0


@pytest.mark.parametrize("ahead_ms", [1000, 2**52])
async def test_a_rejection_in_the_future_puts_off_no_other(
    watched: Watched, command: Command, clock: Clock, ahead_ms: int
) -> None:
    """As after a clock that was set back: the next rejection counts, and corrects the time."""
    first = await shared(watched.store, clock)
    await watched.store.reject(KEY, first.generation, 30.0)
    await command("HSET", META, "rejected_at", first.generation // 1000 + 60_000 + ahead_ms)
    assert (await watched.store.reject(KEY, (await shared(watched.store, clock)).generation, 30.0)).was_current
    answer = await watched.store.reject(KEY, (await shared(watched.store, clock)).generation, 30.0)
    assert answer.retry_after is not None


async def test_a_barrier_is_raised_whatever_a_rejection_in_the_future_says(
    watched: Watched, command: Command, clock: Clock
) -> None:
    """A replica restores a rejection, and the record is dropped."""
    token = await shared(watched.store, clock)
    await command("HSET", META, "rejected_at", 2**52)
    assert await watched.store.raise_barrier(KEY, token.generation, "", 30.0)
    assert await watched.store.load([KEY]) == [None]


async def test_what_is_known_of_a_key_ends_an_hour_after_its_token(
    watched: Watched, command: Command, clock: Clock
) -> None:
    """Expired keys do not fill the store. A rejection does not shorten it: its barrier outlives the token."""
    await watched.store.commit(
        as_lease(await watched.store.acquire(KEY, acquire_request())), minted(clock, lifetime=1000.0)
    )
    left = int(str(await command("PTTL", META)))
    assert 1000_000 + HOUR - 60_000 < left <= 1000_000 + HOUR
    (token,) = await watched.store.load([KEY])
    assert isinstance(token, Token)
    await watched.store.reject(KEY, token.generation, 30.0)
    assert left - 60_000 < int(str(await command("PTTL", META))) <= left


async def test_refusals_of_credentials_that_were_replaced_do_not_pile_up(watched: Watched, command: Command) -> None:
    """Only those with a current back-off are kept."""
    refused = Failure(Reason.ISSUER_REFUSED, of_proof=True)
    for number in range(5):
        lease = as_lease(await watched.store.acquire(KEY, acquire_request(proof=f"secret {number}")))
        await watched.store.fail(lease, refused, 0.0)
    fields = cast("list[bytes]", await command("HKEYS", META))
    assert len([field for field in fields if field.startswith(b"no:")]) == 1


class Opened:
    """Opens data that was never sealed, to test the rest of the reader."""

    def __init__(self) -> None:
        self.alarms = 0

    def __call__(self, sealed: bytes, key_hash: str, generation: int) -> bytes | None:
        return sealed

    def alarm(self, key_hash: str, why: str) -> None:
        self.alarms += 1


def row_at(now: int, owner: TokenKey = KEY) -> Row:
    """A record of a token that expires after its lifetime of an hour, read at this time of the store."""
    mint = minted(SystemClock(), lifetime=HOUR / 1000)
    token = Token.of(mint, owner, HASHER(owner), 7, 1, NOW / 1000 - mint.started_at)
    fields = {"f": b"7", "exp": b"%d" % (NOW + HOUR), "cv": b"1", "payload": encode(token).encode()}
    row = Row.read([fields[name] for name in FIELDS], ttl=30 * DAY, store_now=now)
    assert row is not None
    return row


def test_no_record_lives_longer_than_its_token_ever_did() -> None:
    """After a failover to a server whose clock is behind, more than a whole lifetime would seem to remain."""
    opened = Opened()
    assert row_at(NOW).token(KEY, HASHER(KEY), 0.0, opened)
    assert row_at(NOW - 1000).token(KEY, HASHER(KEY), 0.0, opened) is None
    assert opened.alarms == 1


def test_another_keys_record_is_none_of_this_key() -> None:
    """If the seal ever opened at a wrong place, the names inside would show it."""
    assert row_at(NOW, OTHER).token(KEY, HASHER(KEY), 0.0, Opened()) is None
    assert row_at(NOW, OTHER).named(HASHER, HASHER(KEY), 0.0, Opened()) is None
