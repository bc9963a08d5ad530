"""A broker with all that it needs, in this process, on a clock that the test turns."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self, TypeVar

from mintonce_server.core.broker import Broker, BrokerOptions, Served
from mintonce_server.core.cache import Entry
from mintonce_server.core.client import Clients, OAuthClient
from mintonce_server.core.events import Event
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Wake, WakeKind
from mintonce_server.core.token import LIVE_PATIENCE
from support.clocks import ManualClock
from support.options import BROKER_OPTIONS
from support.samples import HASHER, KEY
from support.scripted_issuer import ScriptedIssuer
from support.troubled_store import TroubledStore
from support.waiting import wait_until

OPTIONS = BROKER_OPTIONS
GAP = Wake(WakeKind.GAP, "", 0)
PATIENCE = 5.0
"""Seconds that a call may take where the test is not about that."""

E = TypeVar("E", bound=Event)


@dataclass
class Workbench:
    """One replica. `replica` makes another one of the same fleet: same store and clock; the same issuer or its own.

    `refused_for`: seconds for which needless mints are refused, as if a budget were used up.
    """

    clock: ManualClock = field(default_factory=ManualClock)
    options: BrokerOptions = OPTIONS
    keep_warm: bool = False
    credential_version: int = 1
    issuer_account: str = ""
    refused_for: float | None = None
    store: TroubledStore = field(init=False)
    issuer: ScriptedIssuer = field(init=False)
    broker: Broker = field(init=False)
    happened: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        self.store = TroubledStore(HASHER, self.clock)
        self.issuer = ScriptedIssuer(self.clock)
        self.broker = self._build()

    def replica(self, credential_version: int = 1, *, own_issuer: bool = False, issuer_account: str = "") -> Self:
        other = type(self)(self.clock, self.options, self.keep_warm, credential_version, issuer_account)
        other.store = self.store
        if not own_issuer:
            other.issuer = self.issuer
        other.broker = other._build()
        return other

    async def get(
        self,
        key: TokenKey = KEY,
        min_ttl: float = 0.0,
        deadline: float = PATIENCE,
        patience: float = LIVE_PATIENCE,
        least: float = 0.0,
    ) -> Served:
        return await self.broker.get(key, min_ttl, deadline, patience=patience, least=least)

    def asking(self, key: TokenKey = KEY, deadline: float = PATIENCE) -> asyncio.Task[Served]:
        """A caller that has begun to wait."""
        return asyncio.create_task(self.get(key, deadline=deadline))

    async def refresh(self, key: TokenKey = KEY, *, in_use: bool = True) -> None:
        """See to the key as the refresher does when it is due. `in_use`: a caller has asked for it once more."""
        if in_use:
            self.broker.peek(key)
        self.broker._refresher._schedule._due.pop(key, None)
        await self.broker._refresher.refresh(key)

    async def catch_up(self) -> None:
        """Compare all that it holds with the store, as after a gap in what it heard."""
        self.broker._reconciler.notice(GAP)
        await self.broker._reconciler._ask()

    def due_at(self, key: TokenKey = KEY) -> float | None:
        """When the refresher will see to the key, on the clock."""
        return self.broker._refresher._schedule._due.get(key)

    def entry(self, key: TokenKey = KEY) -> Entry | None:
        """What the replica holds for the key."""
        return self.broker._cache.get(key)

    def events(self, kind: type[E]) -> list[E]:
        """What happened, of one kind."""
        return [event for event in self.happened if isinstance(event, kind)]

    @asynccontextmanager
    async def upkeep(self) -> AsyncGenerator[None]:
        """Its endless tasks run, and hear the store."""
        tasks = [asyncio.create_task(task) for task in self.broker.tasks()]
        try:
            await wait_until(lambda: self.store.server.listeners)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()

    def _build(self) -> Broker:
        client = OAuthClient(
            KEY.client,
            self.issuer,
            credential_version=self.credential_version,
            keep_warm=self.keep_warm,
            issuer_account=self.issuer_account,
        )
        return Broker(
            self.store,
            Clients([client]),
            self.clock,
            self.happened.append,
            self.options,
            waste_refused=lambda _: self.refused_for,
        )


async def a_moment() -> None:
    """Everything that can go on without time passing has gone on."""
    for _ in range(50):
        await asyncio.sleep(0)
