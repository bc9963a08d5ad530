"""A replica counts, and the fleet's counters are right: whatever is lost on the way, nothing counts twice."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core import events
from mintonce_server.core.budget import Budget, Month, Usage
from mintonce_server.core.errors import IssuerThrottled, StoreUnavailable
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Batch, ReplicaInfo
from mintonce_server.core.quota import QuotaWindow
from mintonce_server.core.usage import SAY_AGAIN, ClientUsage, UsageCounter
from mintonce_server.store.memory_usage import MemoryUsage, UsageServer
from support.clocks import ManualClock
from support.waiting import wait_until

KEY = TokenKey.of("billing", "https://api.example.com/")
CLIENTS = {"billing": "acme", "shipping": "acme"}


def minted(cause: events.Cause = events.Cause.ABSENT, key: TokenKey = KEY) -> events.Minted:
    return events.Minted("0" * 32, key, 7, cause, 0.1, 3600.0, "ab", "")


def failed(*, posted: bool) -> events.MintFailed:
    error = IssuerThrottled("no", remedy="Wait.")
    return events.MintFailed("0" * 32, KEY, 7, events.Cause.ABSENT, 0.1, error, posted)


class LossyUsage(MemoryUsage):
    """Loses requests or replies, as `losses` says in turn: "request", "reply", or "" for none."""

    def __init__(self, server: UsageServer) -> None:
        super().__init__(server)
        self.losses: list[str] = []
        self.beaten = 0

    async def count(self, client: str, batch: Batch) -> tuple[bool, float]:
        loss = self.losses.pop(0) if self.losses else ""
        if loss == "request":
            raise away()
        answer = await super().count(client, batch)
        if loss == "reply":
            raise away()
        return answer

    async def usage(self, months: Sequence[tuple[str, Month]]) -> list[Usage | StoreUnavailable]:
        if self.losses and self.losses[0] == "read":
            self.losses.pop(0)
            raise away()
        return await super().usage(months)

    async def beat(self, replica: ReplicaInfo) -> None:
        self.beaten += 1
        await super().beat(replica)


def away() -> StoreUnavailable:
    return StoreUnavailable("away", remedy="Wait.")


class Bench:
    """One replica, on a clock that the test turns; the store's clock may be another."""

    def __init__(
        self, budget: Budget | None = None, server: UsageServer | None = None, clock: ManualClock | None = None
    ) -> None:
        self.clock = clock or ManualClock()
        self.server = server or UsageServer(self.clock)
        self.store = LossyUsage(self.server)
        self.happened: list[events.Event] = []
        budgets = {"billing": budget} if budget else {}
        self.counter = UsageCounter(
            self.store, CLIENTS, budgets, self.clock, self.happened.append, random.Random(1), version="1.2.3"
        )

    def stored(self, client: str = "billing", month: Month | None = None) -> Usage:
        return self.server.read(client, month or Month.at(self.server.clock.unix()))

    def shown(self, client: str = "billing") -> ClientUsage:
        return next(one for one in self.counter.snapshot().clients if one.client == client)

    def mint(self, count: int) -> None:
        for _ in range(count):
            self.counter.observe(minted())

    def said(self) -> list[tuple[str, int]]:
        return [(one.window, one.percent) for one in self.happened if isinstance(one, events.BudgetReached)]


async def test_posts_are_counted_by_cause_and_reason_and_tokens_as_they_leave() -> None:
    """What was not posted does not count."""
    bench = Bench()
    for event in (minted(), minted(events.Cause.REFRESH), minted(), failed(posted=True), failed(posted=False)):
        bench.counter.observe(event)
    for _ in range(5):
        bench.counter.served("billing")
    bench.counter.served("shipping")
    await bench.counter.sync()
    assert bench.stored() == bench.shown().usage
    assert dict(bench.stored().minted) == {"absent": 2, "refresh": 1}
    assert dict(bench.stored().failed) == {"ISSUER_THROTTLED": 1}
    assert (bench.stored().served, bench.stored("shipping").served) == (5, 1)


async def test_what_another_replica_counts_is_read_back() -> None:
    """Budgets are those of the fleet."""
    one = Bench()
    other = Bench(server=one.server, clock=one.clock)
    one.mint(2)
    other.mint(3)
    await one.counter.sync()
    await other.counter.sync()
    await one.counter.sync()
    assert one.shown().usage.mints == other.shown().usage.mints == 5


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "request", "reply", "read"])), max_size=12))
def test_whatever_is_lost_each_mint_counts_once(rounds: list[tuple[int, str]]) -> None:
    """Requests, replies, and what is read back. The sum is never ahead, and right when the store answers again."""
    bench = Bench()

    async def run() -> None:
        total = 0
        for count, loss in rounds:
            bench.mint(count)
            total += count
            bench.store.losses = [loss] if loss else []
            await bench.counter.sync()
            assert bench.stored().mints <= total
        bench.store.losses = []
        await bench.counter.sync()
        assert bench.stored().mints == total

    asyncio.run(run())


async def test_a_mint_is_written_at_once_and_the_rest_at_intervals() -> None:
    """A crash loses no mint that is in, and what was served in ten seconds."""
    bench = Bench()
    running = asyncio.create_task(bench.counter.run())
    try:
        await wait_until(lambda: bench.store.beaten)
        bench.mint(1)
        await wait_until(lambda: bench.stored().mints)
        assert bench.store.beaten == 1
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_the_month_is_the_stores() -> None:
    """A replica whose clock is a month behind counts into the right one, and a batch that was late is not lost."""
    store_clock = ManualClock(unix=Month(2026, 11).starts + 5.0)
    bench = Bench(server=UsageServer(store_clock), clock=ManualClock(unix=Month(2026, 10).starts + 50.0))
    bench.mint(1)
    await bench.counter.sync()
    assert bench.stored(month=Month(2026, 11)).mints == 1
    assert bench.shown().month == Month(2026, 11)


async def test_a_batch_counts_in_the_month_in_which_it_arrived() -> None:
    """Its reply was lost just before the month's end: sent again, it counts in no other."""
    clock = ManualClock(unix=Month(2026, 11).ends - 1.0)
    bench = Bench(clock=clock)
    bench.mint(1)
    bench.store.losses = ["reply"]
    await bench.counter.sync()
    clock.advance(2.0)
    bench.mint(1)
    await bench.counter.sync()
    await bench.counter.sync()
    assert (bench.stored(month=Month(2026, 11)).mints, bench.stored(month=Month(2026, 12)).mints) == (1, 1)
    assert bench.shown().usage.mints == 1


async def test_leaving_writes_what_is_left_and_forgets_the_replica() -> None:
    """Its number is of no use any more."""
    bench = Bench()
    bench.mint(1)
    await bench.counter.sync()
    bench.counter.served("billing")
    await bench.counter.close()
    assert bench.stored().served == 1
    assert [counted.batches for counted in bench.server.months.values()] == [{}]


async def test_leaving_writes_also_what_came_after_a_batch_whose_reply_was_lost() -> None:
    """There is no later batch that could bring it."""
    bench = Bench()
    bench.mint(1)
    bench.store.losses = ["reply"]
    await bench.counter.sync()
    bench.mint(2)
    await bench.counter.close()
    assert bench.stored().mints == 3


async def test_a_budget_is_mentioned_once_a_level_and_hour() -> None:
    """80, 90, 100 %, and again while it stays there."""
    bench = Bench(Budget(per_month=10))
    said: list[list[tuple[str, int]]] = []
    for count, seconds in ((7, 0.0), (1, 0.0), (0, 60.0), (1, 0.0), (1, 0.0), (0, SAY_AGAIN - 1.0), (0, 1.0)):
        bench.mint(count)
        bench.clock.advance(seconds)
        bench.happened.clear()
        await bench.counter.sync()
        said.append(bench.said())
    assert said == [[], [("month", 80)], [], [("month", 90)], [("month", 100)], [], [("month", 100)]]


async def test_waste_is_refused_when_the_fleet_has_used_the_budget_up_until_the_window_ends() -> None:
    """By the counters of all; not before they were read."""
    clock = ManualClock(unix=Month(2026, 11).starts + 36_000.0)
    budget = Budget(per_day=2, needed_only=True)
    one = Bench(budget, clock=clock)
    other = Bench(budget, server=one.server, clock=clock)
    other.mint(2)
    await other.counter.sync()
    assert one.counter.refused_for("billing") is None
    await one.counter.sync()
    assert one.counter.refused_for("billing") == pytest.approx(86_400.0 - 36_000.0)
    assert one.counter.refused_for("shipping") is None
    clock.advance(86_400.0 - 36_000.0)
    assert one.counter.refused_for("billing") is None


async def test_a_new_month_begins_with_nothing_used() -> None:
    """Also before the store was asked again."""
    clock = ManualClock(unix=Month(2026, 11).ends - 10.0)
    bench = Bench(Budget(per_month=1, needed_only=True), clock=clock)
    bench.mint(3)
    await bench.counter.sync()
    assert bench.counter.refused_for("billing") == pytest.approx(10.0)
    clock.advance(11.0)
    assert bench.counter.refused_for("billing") is None
    assert (bench.shown().month, bench.shown().usage.mints) == (Month(2026, 12), 0)


async def test_the_last_words_of_the_issuer_are_kept_until_their_window_ends() -> None:
    """All of its windows together: those that it names no more are over."""
    bench = Bench()
    hour, day = QuotaWindow("per_hour", True, 10, 3, 60.0), QuotaWindow("per_day", True, 50, 40, None)
    bench.counter.observe(events.QuotaSaid("0" * 32, "billing", (day,)))
    bench.counter.observe(events.QuotaSaid("0" * 32, "billing", (hour, day)))
    quotas = bench.counter.snapshot().quotas
    assert [(one.issuer, one.client, one.window) for one in quotas] == [
        ("acme", "billing", hour),
        ("acme", "billing", day),
    ]
    assert quotas[0].ends_at == pytest.approx(bench.clock.unix() + 60.0)
    bench.clock.advance(61.0)
    assert [one.window for one in bench.counter.snapshot().quotas] == [day]


async def test_a_quota_whose_end_the_issuer_does_not_name_is_forgotten_after_an_hour() -> None:
    """Else one answer with nothing left would be trouble for ever."""
    bench = Bench()
    bench.counter.observe(events.QuotaSaid("0" * 32, "billing", (QuotaWindow("per_hour", True, 10, 0, None),)))
    bench.clock.advance(3599.0)
    assert [one.ends_at for one in bench.counter.snapshot().quotas] == [None]
    bench.clock.advance(2.0)
    assert bench.counter.snapshot().quotas == ()
