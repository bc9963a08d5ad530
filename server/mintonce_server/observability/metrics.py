"""The metrics: each with its name, labels and meaning. docs/reference/metrics.md is generated from them.

Names of calls, requests and store operations are those of OpenTelemetry's semantic conventions, as Prometheus spells
them. Labels have few values, all known at the start: methods, codes, configured clients and issuers, words of enums.
Nothing that a caller sends becomes a label.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.gc_collector import GCCollector

from mintonce_server.observability.call_times import CallTimes

CALLS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
STORE: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10)
MINTS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10)
LAGS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900)
LIVES: Final = (1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 604800)

OTHER: Final = "_OTHER"
"""OpenTelemetry's value for what is not one of the known ones: a method, a host."""

MAX_CLIENTS: Final = 200
"""More configured clients share one label value, "*": each client has dozens of series."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which no rule or board uses


class Described(NamedTuple):
    """One metric, for people."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class _Family:
    """Makes metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.described: list[Described] = []

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        self.described.append(Described(name, "counter", labels, text))
        return Counter(name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.described.append(Described(name, "gauge", labels, text))
        return Gauge(name, text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        self.described.append(Described(name, "histogram", labels, text))
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    def call_times(self, name: str, text: str, *labels: str) -> CallTimes:
        self.described.append(Described(name, "histogram", labels, text))
        times = CallTimes(name, text, labels, CALLS)
        self._registry.register(times)
        return times


class CallMetrics:
    """Calls, by gRPC and at the token endpoint."""

    def __init__(self, make: _Family) -> None:
        self.duration = make.call_times(
            "rpc_server_call_duration_seconds",
            "Unary calls, from their headers to their answer. error_type is set for codes that are the server's fault.",
            "rpc_system_name", "rpc_method", "rpc_status_code", "error_type",
        )  # fmt: skip
        self.http_duration = make.call_times(
            "http_server_request_duration_seconds",
            "HTTP requests to the token endpoint, from their head to their answer. error_type is set from 500 on.",
            "http_request_method", "http_route", "http_response_status_code", "error_type",
        )  # fmt: skip
        self.in_flight = make.gauge(
            "mintonce_rpcs_in_flight", "Calls in progress: unary, watch, or http at the token endpoint.", "kind"
        )
        self.limit = make.gauge(
            "mintonce_rpcs_limit", "The setting max_concurrent_rpcs. The token endpoint has as many places of its own."
        )
        self.served = make.counter(
            "mintonce_tokens_served_total",
            "Tokens handed out, each one of a watch too.",
            "client",
            "origin",
            "degraded",
        )
        self.failed = make.counter(
            "mintonce_calls_failed_total", "Calls that failed, by the reason that callers see.",
            "rpc_method", "reason", "client",
        )  # fmt: skip
        self.watch_ends = make.counter("mintonce_watch_ends_total", "Watches that ended.", "reason")
        self.denials = make.counter("mintonce_denials_total", "Calls that were denied.", "why", "act", "identity")
        self.quota_refusals = make.counter(
            "mintonce_quota_refusals_total", "Calls beyond a limit of their caller.", "quota"
        )


class TokenMetrics:
    """What this replica holds."""

    def __init__(self, make: _Family) -> None:
        self.held = make.gauge(
            "mintonce_keys_held", "Keys in this replica's memory, with or without a token.", "client"
        )
        self.live = make.gauge("mintonce_tokens_live", "Keys in this replica's memory with a live token.", "client")
        self.earliest_expiry = make.gauge(
            "mintonce_token_earliest_expiry_timestamp_seconds",
            "When the first live token of the client ends; +Inf: none. wanted: callers use it, or it is kept warm.",
            "client", "wanted",
        )  # fmt: skip
        self.overdue = make.gauge(
            "mintonce_tokens_overdue",
            "Keys in use without a successor: half of the time between refresh and end has passed, or the token ended.",
            "client",
        )
        self.watchers = make.gauge("mintonce_watchers", "Watches that follow keys of the client.", "client")
        self.refresh_lag = make.histogram(
            "mintonce_refresh_lag_seconds", "How late a refresh began after it was due.", LAGS
        )
        self.refresh_lead = make.histogram(
            "mintonce_refresh_lead_seconds", "Life left in the old token when its successor was there.", LIVES
        )
        self.refreshes_due = make.gauge("mintonce_refreshes_due", "Keys that are due and wait for their turn.")
        self.refreshes_running = make.gauge(
            "mintonce_refreshes_running", "Keys that are being refreshed, of at most 128."
        )
        self.revalidation_age = make.gauge(
            "mintonce_revalidation_oldest_age_seconds",
            "Of the tokens in use: the longest time since the store confirmed one.",
        )
        self.revalidate_interval = make.gauge("mintonce_revalidate_seconds", "The setting revalidate_interval.")


class MintMetrics:
    """POSTs to issuers, and what surrounds them."""

    def __init__(self, make: _Family) -> None:
        self.posts = make.counter(
            "mintonce_mints_total",
            "POSTs to an issuer. Each one may cost money.",
            "client",
            "issuer",
            "cause",
            "outcome",
        )
        self.duration = make.histogram(
            "mintonce_mint_duration_seconds", "POSTs to an issuer.", MINTS, "issuer", "outcome"
        )
        self.http_duration = make.histogram(
            "http_client_request_duration_seconds", "HTTP requests: to issuers, and for signing keys.", CALLS,
            "http_request_method", "server_address", "server_port", "http_response_status_code", "error_type",
        )  # fmt: skip
        self.token_lifetime = make.histogram(
            "mintonce_token_lifetime_seconds", "Lifetimes of minted tokens.", LIVES, "issuer"
        )
        self.commits = make.counter("mintonce_commits_total", "Minted tokens that were sent to the store.", "result")
        self.leases_lost = make.counter(
            "mintonce_leases_lost_total", "Leases that another replica got before the POST."
        )
        self.flights = make.gauge("mintonce_flights", "Keys that are being fetched or minted.")
        self.waiters = make.gauge("mintonce_waiters", "Calls that wait for a fetch or a mint.")
        self.lease_wait = make.histogram(
            "mintonce_lease_wait_seconds", "Waiting for another replica's mint.", LAGS, "result"
        )
        self.backoffs_open = make.gauge(
            "mintonce_backoffs_open", "Keys in back-off, as far as this replica knows.", "client"
        )
        self.backoff_until = make.gauge(
            "mintonce_backoff_until_timestamp_seconds", "When the last of these back-offs ends.", "client"
        )
        self.rejections = make.counter("mintonce_rejections_total", "Rejected tokens.", "client", "result")


class StoreMetrics:
    """Redis or Valkey."""

    def __init__(self, make: _Family) -> None:
        self.duration = make.histogram(
            "db_client_operation_duration_seconds", "Store operations, each with its repetition.", STORE,
            "db_system_name", "db_stored_procedure_name", "error_type",
        )  # fmt: skip
        self.up = make.gauge("mintonce_store_up", "1: the last operation was answered; 0: it was not.")
        self.outage = make.counter("mintonce_store_outage_seconds_total", "Time during which the store was away.")
        self.last_success = make.gauge("mintonce_store_last_success_timestamp_seconds", "When the store answered last.")
        self.wakes = make.counter("mintonce_wakes_total", "Wake messages received.", "kind")
        self.wake_subscriptions = make.gauge(
            "mintonce_wake_subscriptions", "Subscriptions for wake messages that are alive."
        )
        self.wake_round_trip = make.histogram(
            "mintonce_wake_round_trip_seconds", "From sending a change to the store until its wake message comes back.",
            LAGS,
        )  # fmt: skip
        self.restored = make.counter("mintonce_restored_total", "Tokens given back to a store that had lost them.")
        self.unreadable = make.counter(
            "mintonce_records_unreadable_total", "Records of the store that cannot be read.", "why"
        )


class ProcessMetrics:
    """Audit log, files, event loop."""

    def __init__(self, make: _Family) -> None:
        self.audit_records = make.counter("mintonce_audit_records_total", "Records in the audit log.", "kind")
        self.audit_failures = make.counter("mintonce_audit_failures_total", "Records that could not be written.")
        self.audit_write = make.histogram("mintonce_audit_write_seconds", "Writes of the audit log.", STORE)
        self.reloads = make.counter("mintonce_reloads_total", "Files that changed.", "what", "outcome")
        self.reload_ok = make.gauge(
            "mintonce_reload_ok", "0: the file is refused, and its former content in use.", "what"
        )
        self.reload_time = make.gauge("mintonce_reload_timestamp_seconds", "When the file was loaded last.", "what")
        self.certificate_expiry = make.gauge(
            "mintonce_certificate_expiry_timestamp_seconds", "When a certificate ends.", "what"
        )
        self.sealing_key = make.gauge(
            "mintonce_sealing_key_timestamp_seconds", "Since when the current sealing key is used; 0: not known."
        )
        self.loop_lag = make.gauge(
            "mintonce_loop_lag_seconds", "Greatest lateness of a timer of 100 ms since the last scrape."
        )
        self.draining = make.gauge("mintonce_draining", "1: this replica is shutting down.")
        self.build_info = make.gauge("mintonce_build_info", "Always 1.", "version", "python", "grpcio")


class BudgetMetrics:
    """What tokens cost: budgets of the settings, and quotas of the issuers."""

    def __init__(self, make: _Family) -> None:
        self.limit = make.gauge("mintonce_budget_limit_tokens", "Tokens that the client may cost a month.", "client")
        self.used = make.gauge("mintonce_budget_used_tokens", "Tokens that the fleet minted this month.", "client")
        self.forecast = make.gauge("mintonce_budget_forecast_tokens", "Expected tokens of this month.", "client")
        self.saved = make.gauge(
            "mintonce_saved_tokens",
            "Tokens that the fleet served this month without a POST.",
            "client",
        )
        self.quota_limit = make.gauge(
            "mintonce_issuer_quota_limit_tokens", "As the issuer says it.", "issuer", "client", "window"
        )
        self.quota_remaining = make.gauge(
            "mintonce_issuer_quota_remaining_tokens", "As the issuer says it.", "issuer", "client", "window"
        )
        self.quota_reset = make.gauge(
            "mintonce_issuer_quota_reset_timestamp_seconds",
            "When the issuer's window ends.",
            "issuer",
            "client",
            "window",
        )


class Metrics:
    """All of them, in a registry of their own.

    Attributes:
        described: all but those of the process and of Python, for people.
        before_scrape: called on the event loop before each scrape, to set gauges that are cheaper to read than to keep.
    """

    def __init__(self, clients: Sequence[str] = ()) -> None:
        """`clients`: the configured ones."""
        self.registry = registry = CollectorRegistry()
        self.before_scrape: list[Callable[[], None]] = []
        self._clients = frozenset(clients)
        make = _Family(registry)
        self.described = make.described
        self.calls = CallMetrics(make)
        self.tokens = TokenMetrics(make)
        self.mints = MintMetrics(make)
        self.store = StoreMetrics(make)
        self.process = ProcessMetrics(make)
        self.budget = BudgetMetrics(make)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def client(self, name: str) -> str:
        """The label value for a client: its name, "" if it is not configured, "*" if there are too many."""
        if name not in self._clients:
            return ""
        return name if len(self._clients) <= MAX_CLIENTS else "*"

    @property
    def clients(self) -> Sequence[str]:
        """All label values of configured clients."""
        return sorted({self.client(name) for name in self._clients})
