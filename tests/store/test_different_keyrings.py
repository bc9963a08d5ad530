"""Replicas with different sealing keys, by mistake: each mints one token, and there is no storm."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio

from mintonce_server.core.broker import Broker
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import Keyring, SealingKey
from mintonce_server.store.names import USUAL
from support.clocks import ManualClock
from support.options import BROKER_OPTIONS, redis_store
from support.samples import KEY
from support.scripted_issuer import ScriptedIssuer
from support.servers import Command

ROUNDS = 20
SIDES = [SealingKey.of(bytes([number]) * 32) for number in (1, 2)]


class Fleet:
    """Three replicas with one key and three with another, on one store, with one issuer and one clock."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self.issuer = ScriptedIssuer(self.clock)
        self.alarms: list[str] = []
        self._url = url
        self.stores = [self._store(Keyring(b"index", (key,))) for key in SIDES * 3]
        self.brokers = [self._broker(store) for store in self.stores]

    def _store(self, keyring: Keyring) -> RedisStore:
        def alarm(_key_hash: str, what: str) -> None:
            self.alarms.append(what)

        return redis_store(
            self._url, clock=self.clock, keyring=lambda: keyring, lease_seconds=60.0, deadline=5.0, on_unreadable=alarm
        )

    def _broker(self, store: RedisStore) -> Broker:
        clients = Clients([OAuthClient(KEY.client, self.issuer)])
        return Broker(store, clients, self.clock, lambda _: None, BROKER_OPTIONS)

    async def round(self) -> list[Token]:
        """Every replica is called, after it has compared its cache with the store."""
        self.clock.advance(5.1)
        for broker in self.brokers:
            await broker._reconciler.confirm([broker._cache.entry(KEY)])
        return [(await broker.get(KEY, 0.0, 5.0)).token for broker in self.brokers]


@pytest_asyncio.fixture
async def fleet(url: str, command: Command) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        fleet = Fleet(url)
        for store in fleet.stores:
            stack.push_async_callback(store.close)
        yield fleet


async def test_no_replica_mints_twice(fleet: Fleet) -> None:
    """A replica that finds only records of the others mints one token and keeps it, whatever is committed later."""
    for _ in range(ROUNDS):
        await fleet.round()

    assert 2 <= fleet.issuer.mints <= len(fleet.brokers)


async def test_the_alarm_is_reported_and_does_not_flood(fleet: Fleet) -> None:
    """Once a minute by each store at most. It names the missing key."""
    for _ in range(ROUNDS):
        await fleet.round()

    minutes = ROUNDS * 5.1 // 60 + 1
    assert 1 <= len(fleet.alarms) <= minutes * len(fleet.stores)
    assert any(key.id.hex() in fleet.alarms[0] for key in SIDES)


async def test_a_rejection_brings_one_mint(fleet: Fleet) -> None:
    """Even if the rejecting replica cannot read the current record."""
    tokens = await fleet.round()
    before = fleet.issuer.mints
    await fleet.brokers[0].reject(KEY, tokens[0].generation)
    for _ in range(ROUNDS):
        after = await fleet.round()
        assert after[0].generation > tokens[0].generation

    assert fleet.issuer.mints - before <= len(fleet.brokers)


async def test_spoiling_records_brings_no_storm(fleet: Fleet, command: Command) -> None:
    """An attacker who overwrites records after each round makes each replica mint once in a token's lifetime."""
    record = USUAL.keys(fleet.stores[0].key_hash(KEY))[0]
    for _ in range(ROUNDS):
        await fleet.round()
        await command("HSET", record, "payload", "rubbish")

    assert fleet.issuer.mints <= len(fleet.brokers)
