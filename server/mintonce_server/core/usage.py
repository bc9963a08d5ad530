"""Counts what this replica uses, adds it to the fleet's counters in the store, and reads those back."""

import asyncio
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.budget import (
    Budget,
    Forecast,
    Month,
    Usage,
    Window,
    cost,
    forecast,
    waste_refused_for,
    windows,
)
from mintonce_server.core.edge import UsageEdge
from mintonce_server.core.errors import StoreUnavailable, UnusableCounter
from mintonce_server.core.ports import FAILED, MINT, SERVED, Batch, ReplicaInfo, UsageStore
from mintonce_server.core.quota import QuotaWindow

INTERVAL: Final = 10.0
SPREAD: Final = 0.2
"""Seconds between two batches, and the share by which they vary. What is minted is written at once."""
READ_AT_ONCE: Final = 50
"""Months that are read in one round trip."""
FORGOTTEN: Final = 3600.0
"""Seconds for which a quota without a reset counts: nothing says later whether it still holds."""
SAY_AGAIN: Final = 3600.0
"""Seconds after which a budget that is still at the same level, or a counter still unusable, is mentioned again."""


@dataclass(frozen=True, slots=True)
class ClientUsage:
    """What the fleet used for a client, as this replica read it last.

    Attributes:
        windows: of the budget; () without one.
        forecast: of the month; None while nothing is known.
        refused_for: seconds for which needless mints are refused; None: they are not.
        cost: of the month so far; "" without a price.
        age: seconds since it was read.
    """

    client: str
    month: Month
    usage: Usage
    budget: Budget | None
    windows: tuple[Window, ...]
    forecast: Forecast | None
    refused_for: float | None
    cost: str
    age: float


@dataclass(frozen=True, slots=True)
class IssuerQuota:
    """A quota at an issuer, as its last answer to this replica named it. `ends_at`: seconds since 1970, or None."""

    issuer: str
    client: str
    window: QuotaWindow
    ends_at: float | None


@dataclass(frozen=True, slots=True)
class UsageSnapshot:
    """For metrics and for people. Clients whose counters were not read yet are missing."""

    clients: tuple[ClientUsage, ...]
    quotas: tuple[IssuerQuota, ...]


@dataclass(slots=True)
class _Counting:
    """What was counted here for one client.

    Attributes:
        number: of the last batch.
        pending: the batch that the store has not acknowledged. It is sent again with the same number.
        fresh: counted since.
        months: in which batches were counted, the last two.
    """

    number: int = 0
    pending: Batch | None = None
    fresh: Counter[str] = field(default_factory=Counter[str])
    months: tuple[Month, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """What the store said about a client, at this time on the monotonic clock."""

    month: Month
    usage: Usage
    before: Usage
    at: float


class UsageCounter:
    """One a process. `run` is an endless task; `close` writes what is left.

    A crash loses what was served in the last seconds, and a mint whose count the store had not acknowledged.
    """

    def __init__(
        self,
        store: UsageStore,
        clients: Mapping[str, str],
        budgets: Mapping[str, Budget],
        clock: Clock,
        sink: events.EventSink,
        rng: random.Random,
        *,
        version: str = "",
    ) -> None:
        """`clients`: the issuer of each. `sink`: gets what is worth saying about budgets. `rng`: spreads the writes."""
        self._store = UsageEdge(store, sink)
        self._issuers = clients
        self._budgets = budgets
        self._clock = clock
        self._sink = sink
        self._rng = rng
        self._served: defaultdict[str, int] = defaultdict(int)
        self._counting = {name: _Counting() for name in clients}
        self._read: dict[str, _Read] = {}
        self._said: dict[tuple[str, str], tuple[float, float]] = {}
        self._complained: dict[str, float] = {}
        self._quotas: dict[str, tuple[tuple[QuotaWindow, ...], float]] = {}
        self._unix_minus_monotonic = clock.unix() - clock.monotonic()
        self._minted = asyncio.Event()
        self._lock = asyncio.Lock()
        self.replica = ReplicaInfo(secrets.token_hex(8), version, clock.unix(), "")
        """This process."""

    def served(self, client: str) -> None:
        """A token leaves. On the hot path: an addition."""
        self._served[client] += 1

    def observe(self, event: events.Event) -> None:
        """Count a POST, or note what an issuer says. Other events do not matter."""
        match event:
            case events.Minted():
                self._counting[event.client].fresh[f"{MINT}{event.cause}"] += 1
                self._minted.set()
            case events.MintFailed() if event.posted:
                self._counting[event.client].fresh[f"{FAILED}{event.reason}"] += 1
            case events.QuotaSaid():
                self._quotas[event.client] = event.windows, self._clock.monotonic()
            case _:
                pass

    def listens_at(self, address: str) -> None:
        """Where this replica can be reached, once that is known."""
        self.replica = replace(self.replica, address=address)

    async def run(self) -> None:
        """For ever: write at intervals, and at once after a mint."""
        while True:
            await self.sync()
            due = asyncio.get_running_loop().time() + INTERVAL * self._rng.uniform(1.0 - SPREAD, 1.0 + SPREAD)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    while True:
                        await self._minted.wait()
                        await self._write_changes()

    async def sync(self) -> None:
        """Write what was counted, read all counters, and say that this replica runs. An outage changes nothing."""
        for name, count in list(self._served.items()):
            del self._served[name]
            self._counting[name].fresh[SERVED] += count
        if await self._attempt(self._counting):
            with suppress(StoreUnavailable):
                await self._store.beat(self.replica)

    async def close(self) -> None:
        """Write what is left. Call it once nothing is minted or served any more."""
        try:
            await self.sync()
            for name, counting in self._counting.items():
                if counting.pending is None:
                    for month in counting.months:
                        with suppress(UnusableCounter):
                            await self._store.forget(name, month, self.replica.id)
        except StoreUnavailable:
            pass  # what it counted is in, or lost; its name goes with the month
        except Exception as error:  # noqa: BLE001 - reported; the process ends all the same
            self._sink(events.Unforeseen("", "usage", error))

    def refused_for(self, client: str) -> float | None:
        """Seconds for which needless mints of this client are refused. None: they are not."""
        budget = self._budgets.get(client)
        if budget is None or not budget.needed_only or (read := self._read.get(client)) is None:
            return None
        now = self.store_time()
        return waste_refused_for(budget, _of_now(read, now).usage, now)

    def store_time(self) -> float:
        """Seconds since 1970, by the store's clock if that is known."""
        return self._clock.monotonic() + self._unix_minus_monotonic

    def snapshot(self) -> UsageSnapshot:
        """The fleet's counters as they were read last. No I/O."""
        now, monotonic = self.store_time(), self._clock.monotonic()
        clients = tuple(self._client(name, self._read[name], now) for name in sorted(self._read))
        quotas = (
            IssuerQuota(self._issuers.get(name, ""), name, window, None if window.reset_in is None else ends)
            for name, (said, at) in sorted(self._quotas.items())
            for window in said
            if (ends := now + at + (FORGOTTEN if window.reset_in is None else window.reset_in) - monotonic) > now
        )
        return UsageSnapshot(clients, tuple(quotas))

    def quotas_of(self, client: str) -> tuple[IssuerQuota, ...]:
        """What the issuer of a client said to this replica last."""
        return tuple(quota for quota in self.snapshot().quotas if quota.client == client)

    async def usage(self, client: str, month: Month | None) -> ClientUsage:
        """The counters of a month from the store, None for the current one. Raises StoreUnavailable."""
        now = self.store_time()
        wanted = month or Month.at(now)
        found, before = await self._store.usage([(client, wanted), (client, wanted.previous)])
        for answer in (found, before):
            if isinstance(answer, StoreUnavailable):
                raise answer
        assert isinstance(found, Usage)  # noqa: S101 - for type checkers: both are
        assert isinstance(before, Usage)  # noqa: S101 - as above
        return usage_in(client, wanted, found, before, self._budgets.get(client), now)

    async def replicas(self) -> list[ReplicaInfo]:
        """Those that run. Raises StoreUnavailable."""
        return await self._store.replicas()

    async def _write_changes(self) -> None:
        self._minted.clear()
        await self._attempt([name for name, counting in self._counting.items() if counting.fresh or counting.pending])

    async def _attempt(self, names: Iterable[str]) -> bool:
        """Whether the store took and gave all."""
        async with self._lock:
            try:
                await self._write(names)
                await self._read_back(names)
            except StoreUnavailable as outage:
                self._sink(events.StoreFailed("", str(outage), minting=False))
                return False
        return True

    async def _write(self, names: Iterable[str]) -> None:
        trouble: StoreUnavailable | None = None
        for name in names:
            try:
                await self._write_one(name, self._counting[name])
            except UnusableCounter as unusable:
                self._held_up(name, unusable)
            except StoreUnavailable as outage:
                trouble = outage
                if not outage.partial:
                    break
        if trouble is not None:
            raise trouble

    async def _write_one(self, name: str, counting: _Counting) -> None:
        for _ in range(3):  # a batch that was sent before, perhaps in another month; then what came since
            if (batch := counting.pending) is None:
                if not counting.fresh:
                    return
                counting.number += 1
                month, counts = Month.at(self.store_time()), dict(counting.fresh)
                batch = counting.pending = Batch(self.replica.id, counting.number, month, counts)
                counting.fresh = Counter()
            counted, now = await self._store.count(name, batch)
            self._unix_minus_monotonic = now - self._clock.monotonic()
            if counted:
                counting.pending = None
                counting.months = tuple(dict.fromkeys((*counting.months, batch.month)))[-2:]
            else:
                counting.pending = replace(batch, month=Month.at(now))

    async def _read_back(self, names: Iterable[str]) -> None:
        month, wanted = Month.at(self.store_time()), list[tuple[str, Month]]()
        for name in names:
            wanted.append((name, month))
            # The month before does not change any more.
            if (known := self._read.get(name)) is None or known.month != month:
                wanted.append((name, month.previous))
        found: dict[tuple[str, Month], Usage] = {}
        for start in range(0, len(wanted), READ_AT_ONCE):
            some = wanted[start : start + READ_AT_ONCE]
            for place, answer in zip(some, await self._store.usage(some), strict=True):
                if isinstance(answer, Usage):
                    found[place] = answer
                elif isinstance(answer, UnusableCounter):
                    self._held_up(place[0], answer)
        for name, of in wanted:
            if of == month and (usage := found.get((name, month))) is not None:
                before = found.get((name, month.previous)) or self._before(name)
                self._read[name] = _Read(month, usage, before, self._clock.monotonic())
                self._say(name)

    def _held_up(self, client: str, unusable: UnusableCounter) -> None:
        now = self._clock.monotonic()
        if now - self._complained.get(unusable.name, float("-inf")) < SAY_AGAIN:
            return
        self._complained = {name: at for name, at in self._complained.items() if now - at < SAY_AGAIN}
        self._complained[unusable.name] = now
        self._sink(events.CountsHeldUp("", client, str(unusable), unusable.remedy))

    def _before(self, name: str) -> Usage:
        return self._read[name].before if name in self._read else Usage()

    def _say(self, name: str) -> None:
        if (budget := self._budgets.get(name)) is None:
            return
        now = self._clock.monotonic()
        for window in windows(budget, self._read[name].usage, self.store_time()):
            level, at = self._said.get((name, window.name), (0.0, now))
            if window.level and (window.level != level or now - at >= SAY_AGAIN):
                percent = round(100 * window.level)
                self._sink(events.BudgetReached("", name, window.name, percent, window.used, window.limit))
                at = now
            elif window.level == level:
                continue
            self._said[name, window.name] = window.level, at

    def _client(self, name: str, read: _Read, now: float) -> ClientUsage:
        read = _of_now(read, now)
        made = usage_in(name, read.month, read.usage, read.before, self._budgets.get(name), now)
        return replace(made, age=self._clock.monotonic() - read.at)


def usage_in(
    client: str, month: Month, usage: Usage, before: Usage, budget: Budget | None, now_unix: float
) -> ClientUsage:
    """All that follows from the counters of a month. `before`: of the previous one."""
    is_now = month == Month.at(now_unix)
    return ClientUsage(
        client=client,
        month=month,
        usage=usage,
        budget=budget,
        windows=windows(budget, usage, now_unix if is_now else month.ends - 1.0) if budget else (),
        forecast=forecast(usage, before, now_unix) if is_now else None,
        refused_for=waste_refused_for(budget, usage, now_unix) if budget and is_now else None,
        cost=cost(budget, usage.mints),
        age=0.0,
    )


def _of_now(read: _Read, now_unix: float) -> _Read:
    """The same in the month of now: a new one has no counts yet."""
    month = Month.at(now_unix)
    return read if read.month == month else _Read(month, Usage(), read.usage, read.at)
