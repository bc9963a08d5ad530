"""What the fleet used, and what issuers say, as gauges."""

from prometheus_client import generate_latest

from mintonce_server.core.budget import Budget, Forecast, Month, Usage
from mintonce_server.core.quota import QuotaWindow
from mintonce_server.core.usage import ClientUsage, IssuerQuota, UsageSnapshot
from mintonce_server.observability.metrics import Metrics
from mintonce_server.observability.usage_gauges import UsageGauges


def used(client: str, mints: int, budget: Budget | None = None) -> ClientUsage:
    usage = Usage({"refresh": mints}, served=1000)
    return ClientUsage(client, Month(2026, 11), usage, budget, (), Forecast(2 * mints, mints, 3 * mints), None, "", 0.0)


def quota(name: str, *, counts_tokens: bool = True, remaining: int | None = 3) -> IssuerQuota:
    return IssuerQuota("acme", "billing", QuotaWindow(name, counts_tokens, 10, remaining, 60.0), 1_800_000_060.0)


def lines(metrics: Metrics) -> list[str]:
    for before in metrics.before_scrape:
        before()
    text = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in text if line.startswith(("mintonce_budget", "mintonce_saved", "mintonce_issuer_quota"))]


def test_budgets_and_forecasts_are_gauges_of_each_client() -> None:
    """A client without a budget has no limit."""
    metrics = Metrics(["billing", "shipping"])
    snapshot = UsageSnapshot((used("billing", 5, Budget(per_month=100)), used("shipping", 7)), ())
    UsageGauges(metrics, lambda: snapshot)
    assert lines(metrics) == [
        'mintonce_budget_limit_tokens{client="billing"} 100.0',
        'mintonce_budget_used_tokens{client="billing"} 5.0',
        'mintonce_budget_used_tokens{client="shipping"} 7.0',
        'mintonce_budget_forecast_tokens{client="billing"} 10.0',
        'mintonce_budget_forecast_tokens{client="shipping"} 14.0',
        'mintonce_saved_tokens{client="billing"} 995.0',
        'mintonce_saved_tokens{client="shipping"} 993.0',
    ]


def test_windows_that_are_over_are_gone_and_limits_of_requests_never_come() -> None:
    """Rate limits and token quotas are different things."""
    metrics = Metrics(["billing"])
    snapshots = [
        UsageSnapshot((), (quota("per_hour", remaining=None), quota("requests", counts_tokens=False))),
        UsageSnapshot((), (quota("per_day"),)),
    ]
    UsageGauges(metrics, lambda: snapshots.pop(0))
    labels = 'client="billing",issuer="acme",window='
    assert lines(metrics) == [
        f'mintonce_issuer_quota_limit_tokens{{{labels}"per_hour"}} 10.0',
        f'mintonce_issuer_quota_reset_timestamp_seconds{{{labels}"per_hour"}} 1.80000006e+09',
    ]
    assert lines(metrics) == [
        f'mintonce_issuer_quota_limit_tokens{{{labels}"per_day"}} 10.0',
        f'mintonce_issuer_quota_remaining_tokens{{{labels}"per_day"}} 3.0',
        f'mintonce_issuer_quota_reset_timestamp_seconds{{{labels}"per_day"}} 1.80000006e+09',
    ]
