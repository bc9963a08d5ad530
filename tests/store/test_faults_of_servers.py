"""Each await below the store raises arbitrary exceptions: an outage while it lasts, and no more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Final, cast

import pytest
import pytest_asyncio
from faults.ports import ERRORS, Faults, Point, faulty, points

from mintonce_server.common.clock import Clock
from mintonce_server.common.redis_url import parse_redis_url
from mintonce_server.core.errors import Reason, StoreUnavailable
from mintonce_server.core.ports import Failure, Lease
from mintonce_server.core.token import Token
from mintonce_server.store import RedisStore
from mintonce_server.store.keyring import FIXED_KEYRING
from mintonce_server.store.link import Link, open_servers
from mintonce_server.store.notifications import GAP, Notifications
from mintonce_server.store.sealing import Sealer
from mintonce_server.store.topology.servers import Commands, Pipeline, Scannable, Servers, Shard
from support.samples import HASHER, KEY, OTHER, acquire_request, lease_of, minted, shared
from support.servers import Command

PORTS: Final[tuple[type[Any], ...]] = (Servers, Commands, Scannable, Pipeline)
POINTS: Final = sorted({point for port in PORTS for point in points(port)}, key=str)
NOT_IN_THE_WAY: Final = frozenset({"close", "aclose"})


class FaultyServers:
    """Implements Servers, with faults at every point below."""

    def __init__(self, servers: Servers, faults: Faults) -> None:
        self._servers = faulty(servers, Servers, faults)
        self._faults = faults
        self.client = FaultyCommands(servers.client, faults)

    async def shards(self) -> Sequence[Shard]:
        return [
            replace(shard, client=faulty(shard.client, Scannable, self._faults))
            for shard in await self._servers.shards()
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._servers, name)


class FaultyCommands:
    """Implements Commands, and its pipelines have faults, too."""

    def __init__(self, commands: Commands, faults: Faults) -> None:
        self._commands = faulty(commands, Commands, faults)
        self._faults = faults

    def pipeline(self, transaction: bool) -> AbstractAsyncContextManager[Pipeline]:
        return self._pipeline(transaction)

    @asynccontextmanager
    async def _pipeline(self, transaction: bool) -> AsyncGenerator[Pipeline]:
        async with self._commands.pipeline(transaction=transaction) as pipeline:
            yield faulty(pipeline, Pipeline, self._faults)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._commands, name)


class Bench:
    """A store on the shared server, and the faults below it."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.faults = Faults()
        servers = cast("Servers", FaultyServers(open_servers(parse_redis_url(url), 5.0), self.faults))
        self.store = RedisStore(
            Link(servers, deadline=5.0),
            hasher=HASHER,
            clock=clock,
            lease_seconds=60.0,
            notifications=Notifications(FIXED_KEYRING.index_key),
            sealer=Sealer(lambda: FIXED_KEYRING, clock),
            on_unreadable=lambda _, __: None,
        )
        self._clock = clock

    def acts(self, lease: Lease, token: Token) -> list[Callable[[], Awaitable[object]]]:
        """Every operation of the store."""
        store = self.store
        return [
            lambda: store.acquire(KEY, acquire_request()),
            lambda: store.commit(lease, minted(self._clock)),
            lambda: store.fail(lease, Failure(Reason.ISSUER_UNAVAILABLE), 0.0),
            lambda: store.renew(lease),
            lambda: store.reject(OTHER, 1, 0.0),
            lambda: store.raise_barrier(OTHER, 1, "", 0.0),
            lambda: store.generations([KEY, OTHER]),
            lambda: store.load([KEY, OTHER]),
            lambda: store.restore(token),
            lambda: store.list("", 10, lambda _: True),
            store.ping,
        ]


@pytest_asyncio.fixture
async def bench(url: str, command: Command, clock: Clock) -> AsyncIterator[Bench]:
    """Closed afterwards."""
    bench = Bench(url, clock)
    yield bench
    await bench.store.close()


@pytest.mark.parametrize("point", [point for point in POINTS if point.method not in NOT_IN_THE_WAY], ids=str)
async def test_whatever_fails_below_is_an_outage(bench: Bench, point: Point, clock: Clock) -> None:
    """Any exception, before or after the work: StoreUnavailable, or the right answer."""
    await bench.store.acquire(KEY, acquire_request())
    token, lease = await _begun(bench, clock)
    for error in ERRORS:
        for when in ("before", "after"):
            with bench.faults.at(point, when, error, float("inf")):
                for act in bench.acts(lease, token):
                    (outcome,) = await asyncio.gather(act(), return_exceptions=True)
                    if isinstance(outcome, BaseException):
                        assert isinstance(outcome, StoreUnavailable), (point, outcome)
                        assert outcome.__cause__ is not None
    await bench.store.ping()
    (held,) = await bench.store.load([OTHER])
    assert isinstance(held, Token)


async def _begun(bench: Bench, clock: Clock) -> tuple[Token, Lease]:
    token = await shared(bench.store, clock, OTHER)
    return token, await lease_of(bench.store, OTHER, newer_than=token.generation)


async def test_a_subscription_that_fails_is_tried_again(bench: Bench) -> None:
    """After any exception: the subscription begins with a GAP when the fault ends."""
    for error in ERRORS:
        with bench.faults.at(Point("Servers", "subscription"), "before", error, 3):
            async with asyncio.timeout(10.0), aclosing(bench.store.wakes()) as wakes:
                assert await anext(wakes) == GAP
    assert bench.faults.hits == 3 * len(ERRORS)
