"""What the status page shows of the whole fleet: budgets, quotas, and the replicas that run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from mintonce_server.core.errors import StoreUnavailable
from mintonce_server.core.ports import ReplicaInfo
from mintonce_server.core.status import BudgetRow, FleetRow
from mintonce_server.core.usage import UsageSnapshot

EVERY: Final = 10.0
"""Seconds between two questions to the store, while a page is open."""


class FleetWatch:
    """Reads which replicas run, after it was asked for: the page itself never waits for the store."""

    def __init__(self, read: Callable[[], Awaitable[Sequence[ReplicaInfo]]], own_id: str, every: float = EVERY) -> None:
        self._every = every
        self._read = read
        self._own_id = own_id
        self._known: Sequence[ReplicaInfo] = ()
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Endless."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                self._known = await self._read()
            except StoreUnavailable:
                pass  # what was known stays; the page says that the store is away
            await asyncio.sleep(self._every)

    def rows(self) -> tuple[FleetRow, ...]:
        """As they were read last."""
        self._wanted.set()
        return tuple(
            FleetRow(each.id, each.address, each.version, each.started, each.id == self._own_id) for each in self._known
        )


def budget_rows(usage: UsageSnapshot) -> Iterator[BudgetRow]:
    """Each limit of a client's budget, or its month without one; then what issuers say."""
    for client in usage.clients:
        expected = client.forecast.expected if client.forecast else None
        for window in client.windows:
            of_month, saved = (expected, client.usage.saved) if window.name == "month" else (None, None)
            yield BudgetRow(client.client, window.name, window.used, window.limit, of_month, saved=saved)
        if not any(window.name == "month" for window in client.windows):
            yield BudgetRow(client.client, "month", client.usage.mints, None, expected, saved=client.usage.saved)
    for quota in usage.quotas:
        said = quota.window
        if said.counts_tokens and said.limit is not None and said.remaining is not None:
            used = max(0, said.limit - said.remaining)
            yield BudgetRow(quota.client, said.name, used, said.limit, is_quota=True)
