"""Replicas of this release and of the next one share a store: an unreadable record is a miss, not a crash."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from mintonce_server.core import events
from mintonce_server.core.broker import Broker
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.token import Origin, Token
from mintonce_server.store import RedisStore
from mintonce_server.store.names import USUAL
from support.clocks import ManualClock
from support.options import BROKER_OPTIONS, redis_store
from support.samples import HASHER, KEY, acquire_request, lease_of, load_all, minted
from support.scripted_issuer import ScriptedIssuer
from support.servers import Command


@dataclass
class Replica:
    """Of this release, on a real server; the test controls its clock."""

    store: RedisStore
    clock: ManualClock
    issuer: ScriptedIssuer
    happened: list[events.Event] = field(default_factory=list[events.Event])

    def __post_init__(self) -> None:
        client = OAuthClient(KEY.client, self.issuer)
        self.broker = Broker(self.store, Clients([client]), self.clock, self.happened.append, BROKER_OPTIONS)

    async def get(self) -> tuple[Token, Origin, bool]:
        served = await self.broker.get(KEY, 0.0, 5.0)
        return served.token, served.origin, served.degraded

    async def catch_up(self) -> None:
        await self.broker._reconciler.confirm([self.broker._cache.entry(KEY)])


@pytest_asyncio.fixture
async def replica(url: str, command: Command) -> AsyncIterator[Replica]:
    clock = ManualClock()
    store = redis_store(url, hasher=HASHER, clock=clock, lease_seconds=60.0, deadline=5.0)
    yield Replica(store, clock, ScriptedIssuer(clock))
    await store.close()


async def the_next_release_mints(replica: Replica, command: Command, newer_than: int = 0) -> int:
    """A record that only the next release can read. Returns its generation."""
    lease = await lease_of(replica.store, newer_than=newer_than)
    await replica.store.commit(lease, minted(replica.clock, "theirs", lifetime=3600.0))
    record, _, _ = USUAL.keys(HASHER(KEY))
    await command("HSET", record, "payload", '{"v":2,"sealed":"in a new way"}')
    return lease.generation


async def test_a_live_token_goes_on_when_the_store_has_one_that_cannot_be_read(
    replica: Replica, command: Command
) -> None:
    """Not degraded, until its expiry; the newer record stays for newer replicas, and the two do not mint in turns."""
    ours, _, _ = await replica.get()
    theirs = await the_next_release_mints(replica, command, newer_than=ours.generation)
    for _ in range(5):
        replica.clock.advance(5.1)
        assert await replica.get() == (ours, Origin.MEMORY, False)
        await replica.catch_up()
        assert replica.broker.peek(KEY)
    assert await replica.store.generations([KEY]) == [theirs]
    assert replica.issuer.mints == 1


async def test_a_replica_with_nothing_mints_one_that_all_can_read(replica: Replica, command: Command) -> None:
    """Once, with a generation above the unreadable one; not again at the next request."""
    theirs = await the_next_release_mints(replica, command)
    ours, origin, _ = await replica.get()
    assert origin is Origin.MINT
    assert ours.generation > theirs
    for _ in range(5):
        replica.clock.advance(5.1)
        assert (await replica.get())[0] == ours
    assert replica.issuer.mints == 1


async def test_an_unreadable_record_is_not_rejected_or_replaced_by_a_look(replica: Replica, command: Command) -> None:
    """A replica without a token leaves it alone until a caller wants a token."""
    theirs = await the_next_release_mints(replica, command)
    replica.broker._cache.entry(KEY)
    await replica.catch_up()
    assert replica.broker.peek(KEY) is None
    assert await replica.store.generations([KEY]) == [theirs]
    assert replica.issuer.mints == 0


async def test_a_token_goes_on_when_the_unreadable_one_has_newer_credentials(
    replica: Replica, command: Command
) -> None:
    """The next release has a new secret: our token is still live, and served without a check each time."""
    ours, _, _ = await replica.get()
    theirs = await the_next_release_mints(replica, command, newer_than=ours.generation)
    record, _, meta = USUAL.keys(HASHER(KEY))
    await command("HSET", record, "cv", "2")
    await command("HSET", meta, "cv", "2")
    replica.clock.advance(5.1)
    assert await replica.get() == (ours, Origin.MEMORY, False)
    assert replica.broker.peek(KEY)
    assert await replica.store.generations([KEY]) == [theirs]
    assert replica.issuer.mints == 1


async def test_a_token_goes_on_when_the_newer_one_has_replaced_credentials(replica: Replica, command: Command) -> None:
    """A replica with the old secret filled an emptied store: one with the new secret neither uses it nor mints."""
    client = OAuthClient(KEY.client, replica.issuer, credential_version=2)
    replica.broker = Broker(replica.store, Clients([client]), replica.clock, replica.happened.append, BROKER_OPTIONS)
    ours, _, _ = await replica.get()
    await command("FLUSHALL")
    lease = await lease_of(replica.store, newer_than=ours.generation)
    await replica.store.commit(lease, minted(replica.clock, "theirs", lifetime=3600.0))
    replica.clock.advance(5.1)
    assert await replica.get() == (ours, Origin.MEMORY, False)
    assert replica.broker.peek(KEY)
    assert replica.issuer.mints == 1


@pytest.mark.parametrize("extra", ["sealed_by", "print2"])
async def test_a_field_that_the_next_release_adds_is_passed_over(
    replica: Replica, command: Command, extra: str
) -> None:
    """A record of this version with an additional field is read as usual."""
    token, _, _ = await replica.get()
    record, _, meta = USUAL.keys(HASHER(KEY))
    await command("HSET", record, extra, "something")
    await command("HSET", meta, extra, "something")
    (loaded,) = await load_all(replica.store, [KEY])
    assert loaded
    assert loaded.access_token == token.access_token


async def test_a_record_of_the_release_before_has_no_fingerprint(replica: Replica, command: Command) -> None:
    """It is read, served and rejected as any other; only a repetition of its text is not detected."""
    token, _, _ = await replica.get()
    record, _, _ = USUAL.keys(HASHER(KEY))
    await command("HDEL", record, "print")
    (loaded,) = await load_all(replica.store, [KEY])
    assert loaded
    assert (await replica.store.reject(KEY, token.generation, 30.0)).was_current
    lease = await lease_of(replica.store, nonce=acquire_request().nonce)
    assert lease.rejected == ""
