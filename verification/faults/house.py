"""Two replicas on one store, with callers of every kind, in virtual time. The ports of the first one can fail."""

import asyncio
import itertools
import random
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Final

from faults.ports import Faults, faulty
from faults.virtual_time import LoopClock

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.broker import Broker, Served
from mintonce_server.core.budget import Month
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.errors import IssuerUnavailable, MintonceError, Reason
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Issuer, TokenStore, UsageStore, Wait
from mintonce_server.core.secret import Secret
from mintonce_server.core.supervise import Start, Supervisor
from mintonce_server.core.token import Minted
from mintonce_server.core.usage import UsageCounter
from mintonce_server.store.memory_usage import MemoryUsage, UsageServer
from support.options import BROKER_OPTIONS
from support.samples import HASHER, acquire_request
from support.troubled_store import TroubledStore

KEYS: Final = [TokenKey.of("billing", f"https://api-{number}.example.com/") for number in range(4)]
OPTIONS: Final = replace(BROKER_OPTIONS, min_rotation_interval=1.0)
LIFETIME: Final = 40.0
DEADLINE: Final = 5.0
LATE: Final = 0.2
"""Virtual seconds that a call may take beyond its deadline."""
PAUSE: Final = 0.4
LEAVING: Final = "leaving"
"""The client for which replicas count that leave at once."""


class PatientIssuer:
    """Implements core.ports.Issuer: now quick, now slow. `fails`: it says that it is in trouble."""

    def __init__(self, clock: Clock) -> None:
        self.fails = False
        self._clock = clock
        self._numbers = itertools.count()

    def proof(self) -> str:
        return "the only one"

    async def mint(self, key: TokenKey) -> Minted:
        started_at, number = self._clock.monotonic(), next(self._numbers)
        await asyncio.sleep(0.05 if number % 3 else 1.5)  # slow enough to renew the lease
        if self.fails:
            raise IssuerUnavailable("in trouble", remedy="Wait.")
        return Minted(Secret(f"token-{number}"), "Bearer", LIFETIME, started_at, key.scopes)


class House:
    """The test that builds it runs its `callers`.

    Attributes:
        wrong: what should not have happened, one text each.
        restarts: of background tasks, with what ended them.
    """

    def __init__(self, seed: int) -> None:
        self.faults = Faults()
        self.clock = LoopClock()
        self.store = TroubledStore(HASHER, self.clock)
        self.issuer = PatientIssuer(self.clock)
        self.wrong: list[str] = []
        self.restarts: list[tuple[str, Exception]] = []
        self._rng = random.Random(seed)
        store, issuer = faulty(self.store, TokenStore, self.faults), faulty(self.issuer, Issuer, self.faults)
        self._counted = UsageServer(self.clock)
        self._usage = faulty(MemoryUsage(self._counted), UsageStore, self.faults)
        self.counter, self._minted = self._counter(KEYS[0].client), 0
        self.brokers = [self._broker(store, issuer, self._note), self._broker(self.store, self.issuer, lambda _: None)]

    def _broker(self, store: TokenStore, issuer: Issuer, sink: events.EventSink) -> Broker:
        clients = Clients([OAuthClient(KEYS[0].client, issuer, keep_warm=True)])
        return Broker(store, clients, self.clock, sink, OPTIONS)

    def _counter(self, client: str) -> UsageCounter:
        return UsageCounter(self._usage, {client: "acme"}, {}, self.clock, lambda _: None, self._rng)

    def _note(self, event: events.Event) -> None:
        self._minted += isinstance(event, events.Minted)
        self.counter.observe(event)

    @asynccontextmanager
    async def callers(self) -> AsyncGenerator[None]:
        """They call until the block is left; then all ends."""
        supervisor = Supervisor(self.clock, lambda name, error: self.restarts.append((name, error)), self._rng)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(supervisor.running({"usage": self.counter.run}))
            for number, broker in enumerate(self.brokers):
                await stack.enter_async_context(supervisor.running(broker.endless()))
                callers = self._callers_of(broker, number)
                await stack.enter_async_context(_until_left(callers))
            yield
        for broker in self.brokers:
            await broker.close(grace=10.0)
        await self.counter.close()

    def _callers_of(self, broker: Broker, number: int) -> list[Start]:
        getters = [self._on_and_on(f"get {number}", partial(self._get, broker, key)) for key in KEYS]
        stewards = [self._on_and_on(f"{act.__name__} {number}", partial(act, broker)) for act in self._acts()]
        return [*getters, *stewards]

    def _acts(self) -> list[Callable[[Broker], Awaitable[None]]]:
        return [self._watch, self._reject, self._rotate, self._list, self._lose, self._count]

    def _on_and_on(self, name: str, act: Callable[[], Awaitable[None]]) -> Start:
        async def go_on() -> None:
            while True:
                await asyncio.sleep(self._rng.uniform(0.5, 1.5) * PAUSE)
                await self.judged(name, act)

        return go_on

    async def judged(self, name: str, act: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well. What is neither that nor a typed error is wrong."""
        try:
            async with asyncio.timeout(DEADLINE + LATE):
                await act()
        except MintonceError as error:
            if error.reason is Reason.INTERNAL:
                self.wrong.append(f"{name}: {error}")
            return False
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self.wrong.append(f"{name}: {''.join(traceback.format_exception(error))}")
            return False
        return True

    async def _get(self, broker: Broker, key: TokenKey) -> None:
        self._look_at(await broker.get(key, 0.0, DEADLINE))

    async def _watch(self, broker: Broker) -> None:
        ends = self.clock.monotonic() + self._rng.uniform(0.0, DEADLINE)
        async with aclosing(broker.watch(KEYS[0], DEADLINE)) as watch:
            self._look_at(await anext(watch))
            with suppress(TimeoutError):  # a successor may come, or none for long
                async with asyncio.timeout_at(ends):
                    async for served in watch:
                        self._look_at(served)

    async def _reject(self, broker: Broker) -> None:
        await asyncio.sleep(3.0)
        served = await broker.get(KEYS[1], 0.0, DEADLINE - 3.0)
        rejected = served.token.generation if self._rng.random() < 0.5 else served.token.access_token.sha256()
        behind = self.store.copy(KEYS[1]) if (await self.store.generations([KEYS[1]]))[0] else None
        await broker.reject(KEYS[1], rejected)
        if behind is not None and self._rng.random() < 0.5:
            self.store.fail_over(KEYS[1], behind)  # the store loses the rejection, and the replicas do not

    async def _rotate(self, broker: Broker) -> None:
        await asyncio.sleep(2.0)
        await broker.rotate(KEYS[2], DEADLINE - 2.0)

    async def _list(self, broker: Broker) -> None:
        await broker.list_tokens("", 100, lambda _: True)

    async def _lose(self, _: Broker) -> None:
        await asyncio.sleep(self._rng.uniform(2.0, 4.0))
        self.store.lose(self._rng.choice(KEYS))

    async def _count(self, _: Broker) -> None:
        leaving = self._counter(LEAVING)
        leaving.served(LEAVING)
        await leaving.close()
        await self.counter.replicas()
        await self.counter.usage(KEYS[0].client, None)

    def _look_at(self, served: Served) -> None:
        if not served.token.is_live(self.clock.monotonic()):
            self.wrong.append(f"a dead token: generation {served.token.generation}")

    async def is_well(self) -> bool:
        """Whether every replica gives every key's token, and nothing of it is degraded."""

        asked = [
            self.judged("after the fault", partial(self._well_served, broker, key))
            for broker in self.brokers
            for key in KEYS
        ]
        return all(await asyncio.gather(*asked))

    async def _well_served(self, broker: Broker, key: TokenKey) -> None:
        if (await broker.get(key, 0.0, DEADLINE)).degraded:
            raise IssuerUnavailable("degraded", remedy="")

    async def recovered(self, within: float) -> None:
        """Until all is well. Fails after so many virtual seconds."""
        ends = self.clock.monotonic() + within
        while not await self.is_well():
            if self.clock.monotonic() > ends:
                self.wrong.append(f"not recovered within {within} s")
                return
            await asyncio.sleep(0.5)

    def miscounts(self) -> str:
        """What the counters of the first replica say that is not so; "" if they are right."""
        month = Month.at(self.clock.unix())
        counted = sum(self._counted.read(KEYS[0].client, of).mints for of in (month.previous, month))
        return "" if counted == self._minted else f"{counted} mints counted, of {self._minted}"

    async def leases_left(self) -> list[TokenKey]:
        """Keys that a caller who comes now would have to wait for."""
        return [key for key in KEYS if isinstance(await self.store.acquire(key, acquire_request()), Wait)]


@asynccontextmanager
async def _until_left(callers: list[Start]) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(caller(), name="caller") for caller in callers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
