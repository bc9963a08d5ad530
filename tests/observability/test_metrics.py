"""What is counted, under which names, and that it stays bounded."""

import random
from collections.abc import Iterator, Mapping

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mintonce_server.core import events
from mintonce_server.core.errors import IssuerRefused, IssuerThrottled
from mintonce_server.core.events import Cause
from mintonce_server.core.key import TokenKey
from mintonce_server.core.ports import Refusal, Wake, WakeKind
from mintonce_server.core.tally import ClientTally, Tally
from mintonce_server.observability.call_meter import PrometheusCallMeter
from mintonce_server.observability.event_meter import EventMeter
from mintonce_server.observability.gauges import TallyGauges
from mintonce_server.observability.http_meter import MAX_ADDRESSES, HttpMeter
from mintonce_server.observability.metrics import MAX_CLIENTS, Metrics
from mintonce_server.observability.store_meter import PrometheusStoreMeter
from support.clocks import ManualClock

ISSUERS = {"billing": "acme", "reports": "acme"}
KEY = TokenKey("billing", "https://api.example.com/", ())
HASH = "a" * 32


class Meters:
    """All that counts, for two clients of one issuer."""

    def __init__(self, issuers: Mapping[str, str] = ISSUERS) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics(list(issuers))
        self.calls = PrometheusCallMeter(self.metrics, 100)
        self.store = PrometheusStoreMeter(self.metrics, self.clock)
        self.events = EventMeter(self.metrics, issuers, self.clock)
        self.requests = HttpMeter(self.metrics)

    def samples(self) -> Iterator[tuple[str, dict[str, str], float]]:
        for update in self.metrics.before_scrape:
            update()
        for family in text_string_to_metric_families(generate_latest(self.metrics.registry).decode()):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value

    def value(self, name: str, **labels: str) -> float:
        """Of the samples with these labels, together."""
        return sum(value for at, found, value in self.samples() if at == name and labels.items() <= found.items())

    def series(self) -> int:
        return sum(1 for _ in self.samples())


@pytest.fixture
def meters() -> Meters:
    return Meters()


def failed(error: IssuerRefused | IssuerThrottled, *, posted: bool = True) -> events.MintFailed:
    return events.MintFailed(HASH, KEY, 1, Cause.REFRESH, 0.2, error, posted)


def test_each_post_is_counted_once_with_its_cause_and_outcome(meters: Meters) -> None:
    """What an issuer's bill is made of. A mint that was given up before its POST is none."""
    meters.events(events.Minted(HASH, KEY, 1, Cause.ABSENT, 0.1, 3600.0, "f", ""))
    meters.events(failed(IssuerRefused("no", remedy="")))
    meters.events(failed(IssuerThrottled("slow down", remedy="", retry_after=30.0)))
    meters.events(failed(IssuerThrottled("no turn", remedy="", retry_after=1.0), posted=False))
    assert meters.value("mintonce_mints_total") == 3
    labels = {"client": "billing", "issuer": "acme"}
    assert meters.value("mintonce_mints_total", **labels, cause="absent", outcome="minted") == 1
    assert meters.value("mintonce_mints_total", **labels, cause="refresh", outcome="refused") == 1
    assert meters.value("mintonce_mints_total", **labels, cause="refresh", outcome="throttled") == 1
    assert meters.value("mintonce_token_lifetime_seconds_sum", issuer="acme") == 3600.0


def test_counters_of_configured_clients_exist_before_the_first_event(meters: Meters) -> None:
    """A counter that appears with its first event hides that event from `increase()`."""
    found = {(labels["client"], labels["cause"], labels["outcome"])
             for name, labels, _ in meters.samples() if name == "mintonce_mints_total"}  # fmt: skip
    assert len(found) == 2 * len(Cause) * 5
    assert meters.value("mintonce_mints_total") == 0


def test_back_offs_are_open_until_they_end_or_a_mint_works(meters: Meters) -> None:
    """As far as this replica knows."""
    meters.events(failed(IssuerThrottled("slow down", remedy="", retry_after=30.0)))
    assert meters.value("mintonce_backoffs_open", client="billing") == 1
    assert meters.value("mintonce_backoff_until_timestamp_seconds", client="billing") == pytest.approx(
        meters.clock.unix() + 30.0
    )
    meters.clock.advance(31.0)
    assert meters.value("mintonce_backoffs_open", client="billing") == 0
    meters.events(failed(IssuerThrottled("slow down", remedy="", retry_after=30.0)))
    meters.events(events.Minted(HASH, KEY, 2, Cause.REFRESH, 0.1, 3600.0, "f", ""))
    assert meters.value("mintonce_backoffs_open", client="billing") == 0


def test_what_became_of_a_mint_and_of_a_wait(meters: Meters) -> None:
    """Commits by result, lost leases, waits for other replicas, refreshes."""
    for event in (
        events.Committed(HASH, 1),
        events.CommitRefused(HASH, 1, Refusal.REJECTED),
        events.StoreFailed(HASH, "away", minting=True),
        events.StoreFailed(HASH, "away", minting=False),
        events.LeaseLost(HASH, 1),
        events.Waited(HASH, 1, 0.3),
        events.Waited(HASH, 0, 0.3, "failed"),
        events.Refreshing(HASH, "billing", 0.2),
        events.Refreshed(HASH, "billing", 300.0),
        events.Rejected(HASH, 1, True, "caller", "billing"),
        events.RejectedTooSoon(HASH, "billing"),
        events.Restored(HASH, 1),
    ):
        meters.events(event)
    results = ("ok", "rejected", "store_unavailable", "stale")
    assert [meters.value("mintonce_commits_total", result=result) for result in results] == [1, 1, 1, 0]
    assert meters.value("mintonce_leases_lost_total") == 1
    assert meters.value("mintonce_lease_wait_seconds_count") == 2
    assert meters.value("mintonce_lease_wait_seconds_count", result="failed") == 1
    assert meters.value("mintonce_refresh_lag_seconds_sum") == pytest.approx(0.2)
    assert meters.value("mintonce_refresh_lead_seconds_sum") == pytest.approx(300.0)
    assert meters.value("mintonce_rejections_total", client="billing", result="current") == 1
    assert meters.value("mintonce_rejections_total", client="billing", result="too_soon") == 1
    assert meters.value("mintonce_restored_total") == 1


def test_an_outage_of_the_store_is_timed(meters: Meters) -> None:
    """From the first failed operation to the first answered one."""
    meters.store.operation("acquire", 0.01, "")
    assert meters.value("mintonce_store_up") == 1
    meters.store.operation("acquire", 0.25, "timeout")
    assert meters.value("mintonce_store_up") == 0
    meters.clock.advance(5.0)
    assert meters.value("mintonce_store_outage_seconds_total") == pytest.approx(5.0)
    meters.clock.advance(5.0)
    meters.store.operation("acquire", 0.01, "")
    meters.clock.advance(60.0)
    assert meters.value("mintonce_store_outage_seconds_total") == pytest.approx(10.0)
    assert meters.value("mintonce_store_up") == 1
    assert meters.value("db_client_operation_duration_seconds_count", error_type="timeout") == 1


def test_a_subscription_that_was_opened_ends_no_outage(meters: Meters) -> None:
    """It sends nothing yet: a server that hangs takes the connection, and answers nothing."""
    meters.store.operation("acquire", 0.25, "timeout")
    meters.store.operation("subscribe", 0.001, "")
    meters.clock.advance(5.0)
    assert meters.value("mintonce_store_up") == 0
    assert meters.value("mintonce_store_outage_seconds_total") == pytest.approx(5.0)


def test_a_wake_is_timed_from_its_sending_to_its_coming_back(meters: Meters) -> None:
    """Once, though two subscriptions bring it; another replica's message has no time here."""
    meters.store.sent(WakeKind.COMMIT, HASH, 7)
    meters.clock.advance(0.5)
    for _ in range(2):
        meters.store.heard(Wake(WakeKind.COMMIT, HASH, 7))
    meters.store.heard(Wake(WakeKind.COMMIT, "b" * 32, 8))
    assert meters.value("mintonce_wake_round_trip_seconds_count") == 1
    assert meters.value("mintonce_wake_round_trip_seconds_sum") == pytest.approx(0.5)


def test_what_a_replica_holds(meters: Meters) -> None:
    """A client without keys has zeros and no end."""
    held = ClientTally(3, 2, 1, {True: meters.clock.monotonic() + 60.0, False: float("inf")})
    TallyGauges(meters.metrics, Tally, meters.clock).set(Tally({"billing": held}, oldest=1.5, flights=2, waiters=9))
    assert meters.value("mintonce_keys_held", client="billing") == 3
    assert meters.value("mintonce_tokens_live", client="reports") == 0
    name = "mintonce_token_earliest_expiry_timestamp_seconds"
    assert meters.value(name, client="billing", wanted="true") == pytest.approx(meters.clock.unix() + 60.0)
    assert meters.value(name, client="reports", wanted="true") == float("inf")
    assert meters.value("mintonce_revalidation_oldest_age_seconds") == 1.5
    assert meters.value("mintonce_waiters") == 9


def test_nothing_that_callers_send_becomes_a_label(meters: Meters) -> None:
    """Ten thousand callers, clients, audiences and hosts leave as many series as a few do."""
    rng = random.Random(7)

    def use(client: str) -> None:
        ended = meters.calls.method("mintonce.v1.TokenService/GetToken")
        ended("OK", 0.001)
        meters.calls.failed("mintonce.v1.TokenService/GetToken", "UNKNOWN_CLIENT", client)
        key = TokenKey(client, f"https://{client}.example.com/", (client,))
        meters.events(events.Minted(client, key, 1, Cause.ABSENT, 0.1, 60.0, "f", client))
        meters.events(events.Rejected(client, 1, True, client, client))
        meters.requests("POST", f"https://{client}.example.com/token", 200, 0.1, None)
        held = {client: ClientTally(1, 1, 0)}
        TallyGauges(meters.metrics, Tally, meters.clock).set(Tally({"billing": held[client]}))

    for number in range(2 * MAX_ADDRESSES):
        use(f"known-{number}")
    before = meters.series()
    for _ in range(10_000):
        use(f"c{rng.getrandbits(64):x}")
    assert meters.series() == before


def test_twenty_clients_fit_into_one_scrape() -> None:
    """At most 2,500 lines after each of them was used in every way."""
    issuers = {f"client-{number}": f"issuer-{number % 2}" for number in range(20)}
    meters = Meters(issuers)
    for client in issuers:
        for origin in ("memory", "store", "mint"):
            meters.calls.served(client, origin, degraded=True)
        meters.calls.failed("mintonce.v1.TokenService/GetToken", "ISSUER_UNAVAILABLE", client)
    for code in ("OK", "UNAVAILABLE", "PERMISSION_DENIED", "CANCELLED", "INVALID_ARGUMENT"):
        meters.calls.method("mintonce.v1.TokenService/GetToken")(code, 0.001)
    assert len(generate_latest(meters.metrics.registry).splitlines()) <= 2500


def test_very_many_clients_share_one_label() -> None:
    """Each would have dozens of series."""
    metrics = Metrics([f"client-{number}" for number in range(MAX_CLIENTS + 1)])
    assert metrics.clients == ["*"]
    assert metrics.client("client-7") == "*"
    assert metrics.client("stranger") == ""


def test_calls_in_progress_are_read_from_the_meter(meters: Meters) -> None:
    """Unary calls, watches and requests to the token endpoint apart, against the limit."""
    meters.calls.unary, meters.calls.watches, meters.calls.http = 3, 40, 5
    assert meters.value("mintonce_rpcs_in_flight", kind="unary") == 3
    assert meters.value("mintonce_rpcs_in_flight", kind="watch") == 40
    assert meters.value("mintonce_rpcs_in_flight", kind="http") == 5
    assert meters.value("mintonce_rpcs_limit") == 100


def test_a_code_is_an_error_only_if_it_is_the_servers_fault(meters: Meters) -> None:
    """OpenTelemetry's rule for gRPC servers: a caller that asks for too much is not our error."""
    ended = meters.calls.method("mintonce.v1.TokenService/GetToken")
    for code in ("OK", "PERMISSION_DENIED", "UNAVAILABLE"):
        ended(code, 0.001)
    name = "rpc_server_call_duration_seconds_count"
    assert meters.value(name, error_type="UNAVAILABLE") == 1
    assert meters.value(name, error_type="") == 2
