"""Gauges of budgets, and of what issuers say about their quotas."""

from collections import Counter
from collections.abc import Callable

from mintonce_server.core.usage import UsageSnapshot
from mintonce_server.observability.metrics import Metrics


class UsageGauges:
    """Set before each scrape. Counters of the fleet: do not add them up over replicas."""

    def __init__(self, metrics: Metrics, look: Callable[[], UsageSnapshot]) -> None:
        self._metrics, self._budget = metrics, metrics.budget
        self._look = look
        metrics.before_scrape.append(self.set)

    def set(self) -> None:
        """Publish what was read last."""
        snapshot = self._look()
        limit, used, forecast, saved = (Counter[str]() for _ in range(4))
        for one in snapshot.clients:
            label = self._metrics.client(one.client)
            used[label] += one.usage.mints
            saved[label] += one.usage.saved
            forecast[label] += one.forecast.expected if one.forecast else 0
            if one.budget is not None and one.budget.per_month is not None:
                limit[label] += one.budget.per_month
        budget = self._budget
        for gauge, values in (
            (budget.limit, limit),
            (budget.used, used),
            (budget.forecast, forecast),
            (budget.saved, saved),
        ):
            for label, value in values.items():
                gauge.labels(label).set(value)
        self._set_quotas(snapshot)

    def _set_quotas(self, snapshot: UsageSnapshot) -> None:
        gauges = self._budget.quota_limit, self._budget.quota_remaining, self._budget.quota_reset
        for gauge in gauges:
            gauge.clear()  # an issuer's windows come and go
        for quota in snapshot.quotas:
            if quota.window.counts_tokens:
                labels = quota.issuer, self._metrics.client(quota.client), quota.window.name
                values = quota.window.limit, quota.window.remaining, quota.ends_at
                for gauge, value in zip(gauges, values, strict=True):
                    if value is not None:
                        gauge.labels(*labels).set(value)
