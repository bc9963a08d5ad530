"""Counters of the fleet: each batch counts once, however often it is sent."""

from typing import Protocol, cast

import pytest
import pytest_asyncio
from contract.conftest import StoreMaker

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.budget import Month, Usage
from mintonce_server.core.ports import Batch, ReplicaInfo, UsageStore


class _HasUsage(Protocol):
    usage: UsageStore


@pytest_asyncio.fixture
async def usage(make_store: StoreMaker) -> UsageStore:
    return cast("_HasUsage", make_store(60.0)).usage


@pytest.fixture
def month(clock: SystemClock) -> Month:
    """The current one: the servers have this machine's clock."""
    return Month.at(clock.unix())


async def read(usage: UsageStore, client: str, month: Month) -> Usage:
    (found,) = await usage.usage([(client, month)])
    assert isinstance(found, Usage), found
    return found


def batch(month: Month, number: int, replica: str = "one", **counts: int) -> Batch:
    """Names of counts: `mint_refresh` for mint:refresh."""
    return Batch(replica, number, month, {name.replace("_", ":", 1): count for name, count in counts.items()})


async def test_counts_add_up_over_replicas_and_batches(usage: UsageStore, month: Month, clock: SystemClock) -> None:
    """By cause and reason; tokens also by day."""
    await usage.count("billing", batch(month, 1, mint_refresh=1, served=10))
    await usage.count("billing", batch(month, 2, mint_absent=2, served=5))
    await usage.count("billing", batch(month, 1, "other", mint_refresh=3, failed_ISSUER_THROTTLED=4))
    found = await read(usage, "billing", month)
    assert dict(found.minted) == {"refresh": 4, "absent": 2}
    assert dict(found.failed) == {"ISSUER_THROTTLED": 4}
    assert (found.served, found.mints, found.saved) == (15, 6, 9)
    assert found.on(month.day(clock.unix())) == sum(found.days) == 6


async def test_a_batch_that_is_sent_again_counts_once(usage: UsageStore, month: Month) -> None:
    """Its reply was lost. So does an older one, which may come late."""
    for number in (1, 1, 2, 2, 1):
        assert (await usage.count("billing", batch(month, number, served=1)))[0]
    assert (await read(usage, "billing", month)).served == 2


async def test_clients_and_months_are_counted_apart(usage: UsageStore, month: Month) -> None:
    """What was never counted is zero."""
    await usage.count("billing", batch(month, 1, served=1))
    await usage.count("shipping", batch(month, 1, served=2))
    found = await usage.usage([("shipping", month), ("billing", month.previous), ("billing", month), ("none", month)])
    assert [one.served for one in found if isinstance(one, Usage)] == [2, 0, 1, 0]


async def test_another_month_than_the_stores_adds_nothing(usage: UsageStore, month: Month, clock: SystemClock) -> None:
    """The store says its time, by which the batch is sent again, with the same number."""
    counted, now = await usage.count("billing", batch(month.previous, 1, served=1))
    assert not counted
    assert abs(now - clock.unix()) < 60.0
    assert Month.at(now) == month
    assert (await usage.count("billing", batch(Month.at(now), 1, served=1)))[0]
    assert (await read(usage, "billing", month.previous)).served == 0
    assert (await read(usage, "billing", month)).served == 1


async def test_a_forgotten_replica_leaves_its_counts(usage: UsageStore, month: Month) -> None:
    """It is told when it ends. Repeated, it changes nothing."""
    await usage.count("billing", batch(month, 1, served=1))
    for _ in range(2):
        await usage.forget("billing", month, "one")
    assert (await read(usage, "billing", month)).served == 1
    await usage.count("billing", batch(month, 1, served=1))  # it sends no more: that is why it may be forgotten
    assert (await read(usage, "billing", month)).served == 2


async def test_replicas_that_run_are_listed(usage: UsageStore) -> None:
    """By their ids, each once."""
    replicas = [ReplicaInfo(f"id-{n}", "1.2.3", 1_800_000_000.0 + n, f"127.0.0.1:{n}") for n in range(3)]
    for replica in (*reversed(replicas), replicas[0]):
        await usage.beat(replica)
    assert await usage.replicas() == replicas
