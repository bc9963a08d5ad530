"""What the status page shows of the whole fleet, without ever waiting for the store."""

import asyncio
from collections.abc import Sequence

from mintonce_server.app.fleet import FleetWatch, budget_rows
from mintonce_server.core.budget import Budget, Month, Usage
from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import ReplicaInfo
from mintonce_server.core.quota import QuotaWindow
from mintonce_server.core.status import BudgetRow
from mintonce_server.core.usage import IssuerQuota, UsageSnapshot, usage_in
from support.waiting import wait_until

TWO = (ReplicaInfo("aa", "0.2.0", 1000.0, "10.0.0.1:50051"), ReplicaInfo("bb", "0.2.0", 2000.0, "10.0.0.2:50051"))
MONTH = Month(2026, 11)
MIDDLE = MONTH.starts + 15 * 86_400.0
USED = Usage(minted={"refresh": 500}, served=12_500, days=(0,) * 14 + (500,) + (0,) * 16)


async def test_the_store_is_asked_when_somebody_wanted_to_know() -> None:
    """And not before; what was known stays while it is away."""
    asked, is_away = 0, False

    async def read() -> Sequence[ReplicaInfo]:
        nonlocal asked
        asked += 1
        if is_away:
            raise StoreUnavailable("it is away", remedy="Wait.")
        return TWO

    watch = FleetWatch(read, "bb", every=0.0)
    task = asyncio.create_task(watch.run())
    try:
        for _ in range(10):
            await asyncio.sleep(0)
        assert asked == 0
        assert watch.rows() == ()
        await wait_until(lambda: asked == 1)
        assert [(row.id, row.address, row.is_this) for row in watch.rows()] == [
            ("aa", "10.0.0.1:50051", False),
            ("bb", "10.0.0.2:50051", True),
        ]
        is_away = True
        before = asked
        watch.rows()
        await wait_until(lambda: asked > before)
        assert len(watch.rows()) == 2
        assert not task.done()
    finally:
        task.cancel()


def test_each_limit_is_a_row_and_what_an_issuer_says_too() -> None:
    """The forecast is of the month. Without a budget there is the month alone."""
    both = usage_in("billing", MONTH, USED, Usage(), Budget(per_month=1000, per_day=600), MIDDLE)
    none = usage_in("reports", MONTH, USED, Usage(), None, MIDDLE)
    said = (
        IssuerQuota(
            "acme", "billing", QuotaWindow("client per_hour", counts_tokens=True, limit=20, remaining=14), None
        ),
        IssuerQuota("acme", "billing", QuotaWindow("requests", counts_tokens=False, limit=20, remaining=14), None),
        IssuerQuota("acme", "billing", QuotaWindow("unknown", counts_tokens=True), None),
    )
    month, day, other, quota = budget_rows(UsageSnapshot((both, none), said))
    assert (month.name, month.period, month.used, month.budget) == ("billing", "month", 500, 1000)
    assert month.forecast is not None
    assert (day.period, day.budget, day.forecast) == ("day", 600, None)
    assert (other.name, other.period, other.used, other.budget) == ("reports", "month", 500, None)
    assert (month.saved, day.saved, other.saved) == (12_000, None, 12_000)
    assert quota == BudgetRow("billing", "client per_hour", 6, 20, is_quota=True)
