"""The fleet's counters in memory: count.lua and beat.lua in Python, and a store that uses them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mintonce_server.common.clock import Clock
from mintonce_server.core.budget import Month, Usage
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import Batch, ReplicaInfo
from mintonce_server.store.usage import BEAT_MS, DAY, KEPT_MS, usage_of


@dataclass(slots=True)
class _Counted:
    """One month of one client, with the end of its TTL in seconds."""

    counts: Counter[str] = field(default_factory=Counter[str])
    batches: dict[str, int] = field(default_factory=dict[str, int])
    ends: float = 0.0


@dataclass(slots=True)
class UsageServer:
    """What several MemoryUsages share. Each method is one script."""

    clock: Clock
    months: dict[tuple[str, Month], _Counted] = field(default_factory=dict[tuple[str, Month], _Counted])
    beats: dict[str, tuple[ReplicaInfo, float]] = field(default_factory=dict[str, tuple[ReplicaInfo, float]])

    def count(self, client: str, batch: Batch) -> tuple[bool, float]:
        """count.lua."""
        now = self.clock.unix()
        month = self._month(client, batch.month, now)
        if batch.number <= month.batches.get(batch.replica, 0):
            return True, now
        if not batch.month.starts <= now < batch.month.ends:
            return False, now
        month.counts.update(batch.counts)
        if batch.minted:
            month.counts[f"{DAY}{batch.month.day(now)}"] += batch.minted
        month.batches[batch.replica] = batch.number
        month.ends = now + KEPT_MS / 1000
        self.months[client, batch.month] = month
        return True, now

    def forget(self, client: str, month: Month, replica: str) -> None:
        """count.lua with number 0."""
        self._month(client, month, self.clock.unix()).batches.pop(replica, None)

    def read(self, client: str, month: Month) -> Usage:
        return usage_of(self._month(client, month, self.clock.unix()).counts)

    def beat(self, replica: ReplicaInfo) -> None:
        """beat.lua."""
        now = self.clock.unix()
        self.beats[replica.id] = replica, now + BEAT_MS / 1000

    def replicas(self) -> list[ReplicaInfo]:
        """Those that run. The others are dropped."""
        now = self.clock.unix()
        self.beats = {name: beat for name, beat in self.beats.items() if beat[1] > now}
        return [self.beats[name][0] for name in sorted(self.beats)]

    def _month(self, client: str, month: Month, now: float) -> _Counted:
        found = self.months.get((client, month))
        return found if found is not None and found.ends > now else _Counted()


class MemoryUsage:
    """Implements core.ports.UsageStore."""

    def __init__(self, server: UsageServer) -> None:
        self._server = server

    async def count(self, client: str, batch: Batch) -> tuple[bool, float]:
        """Add a batch once. Whether it is in, and the store's time. False: it is another month."""
        return self._server.count(client, batch)

    async def forget(self, client: str, month: Month, replica: str) -> None:
        """This replica counts no more in this month."""
        self._server.forget(client, month, replica)

    async def usage(self, months: Sequence[tuple[str, Month]]) -> list[Usage | StoreUnavailable]:
        """The counts of clients and months, in this order."""
        return [self._server.read(client, month) for client, month in months]

    async def beat(self, replica: ReplicaInfo) -> None:
        """Say that a replica runs."""
        self._server.beat(replica)

    async def replicas(self) -> list[ReplicaInfo]:
        """The replicas that run, in the order of their ids."""
        return self._server.replicas()
