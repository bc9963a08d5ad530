"""What the Grafana dashboards show: rows of panels, each with its queries, unit and meaning."""

from dataclasses import dataclass
from typing import Final, Literal

HERE: Final = '{job="$job", instance=~"$instance"}'
CLIENT: Final = 'job="$job", client=~"$client"'
REQUESTS: Final = "http_server_request_duration_seconds_count"


@dataclass(frozen=True, slots=True)
class Panel:
    """Attributes:
    queries: PromQL, each with the name of its curve ({{label}} is replaced).
    unit: as Grafana names it: s, reqps, percentunit, short, bytes, dtdurations.
    red_below, red_above: where a number turns red.
    """

    title: str
    queries: dict[str, str]
    unit: str
    description: str
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    red_below: float | None = None
    red_above: float | None = None


Rows = dict[str, tuple[Panel, ...]]
FIRST_END: Final = f'mintonce_token_earliest_expiry_timestamp_seconds{{{CLIENT}, wanted="true"}}'
LEFT: Final = (
    f"mintonce_issuer_quota_remaining_tokens{{{CLIENT}}} / (mintonce_issuer_quota_limit_tokens{{{CLIENT}}} > 0)"
)
JOB: Final = 'job="$job"'


def rate(metric: str, by: str, labels: str = JOB) -> str:
    """How often a counter rises in a second, added up by a label."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def increase(metric: str, by: str, labels: str = CLIENT) -> str:
    """How far a counter rose in an hour, added up by a label."""
    return f"sum by ({by}) (increase({metric}{{{labels}}}[1h]))"


def quantiles(histogram: str, labels: str, by: str = "") -> dict[str, str]:
    """The curves of a latency: what half, and what all but one in a hundred, stay below."""
    keys, name = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    each = rate(f"{histogram}_bucket", keys, labels)
    return {f"{name}{title}": f"histogram_quantile({share}, {each})" for title, share in (("p50", 0.5), ("p99", 0.99))}


FLEET: Final[Rows] = {
    "Traffic and errors": (
        Panel(
            "Calls",
            {
                "{{rpc_method}}": rate("rpc_server_call_duration_seconds_count", "rpc_method"),
                "{{http_route}}": rate(REQUESTS, "http_route"),
            },
            "reqps",
            "Unary calls and requests to the token endpoint, of all replicas. Watches are not among them.",
        ),
        Panel(
            "Calls that fail",
            {"share": 'mintonce:rpc_errors:ratio_rate5m{job="$job"}'},
            "percentunit",
            "UNAVAILABLE, INTERNAL, UNKNOWN, DEADLINE_EXCEEDED; over HTTP 5xx. Above 1 %, MintonceErrors fires.",
            red_above=0.01,
        ),
        Panel(
            "Failed calls by reason",
            {"{{reason}}": rate("mintonce_calls_failed_total", "reason", CLIENT)},
            "reqps",
            "The reasons that callers see; docs/reference/errors.md explains each.",
        ),
        Panel(
            "Duration of GetToken",
            quantiles("rpc_server_call_duration_seconds", 'job="$job", rpc_method="mintonce.v1.TokenService/GetToken"'),
            "s",
            "From the headers of a call to its answer. Calls that wait for a mint are among them.",
        ),
        Panel(
            "Duration of token requests",
            quantiles("http_server_request_duration_seconds", 'job="$job", http_route="/oauth/token"'),
            "s",
            "The same at the token endpoint, if one listens.",
        ),
        Panel(
            "Answers of the token endpoint",
            {"{{http_response_status_code}}": rate(REQUESTS, "http_response_status_code")},
            "reqps",
            "By HTTP status. 400, 401: mistakes of callers; 429: limits; 5xx: reasons that are ours or the issuer's.",
        ),
        Panel(
            "Refused callers",
            {
                "denied: {{why}}": rate("mintonce_denials_total", "why"),
                "over a limit: {{quota}}": rate("mintonce_quota_refusals_total", "quota"),
            },
            "reqps",
            "Callers without identity or without a rule, and callers beyond a limit. The audit log says who.",
        ),
        Panel(
            "Watches",
            {"{{client}}": f"sum by (client) (mintonce_watchers{{{CLIENT}}})"},
            "short",
            "Watches that follow keys of the client, at all replicas.",
        ),
    ),
    "Tokens and what they cost": (
        Panel(
            "Tokens served",
            {"{{client}}": rate("mintonce_tokens_served_total", "client", CLIENT)},
            "reqps",
            "Tokens handed out, each one of a watch too.",
        ),
        Panel(
            "Tokens served per POST",
            {"{{client}}": f"mintonce:served_per_post:ratio_rate1h{{{CLIENT}}}"},
            "short",
            "How many callers one paid token served, over an hour. No value: nothing was minted.",
        ),
        Panel(
            "Tokens without a POST in 24 h",
            {"{{client}}": f"mintonce:posts_saved:increase24h{{{CLIENT}}}"},
            "short",
            "Tokens handed out minus POSTs. A caller that keeps its token would not have made each of these POSTs.",
            kind="stat",
        ),
        Panel(
            "Served degraded",
            {"{{client}}": rate("mintonce_tokens_served_total", "client", f'{CLIENT}, degraded="true"')},
            "reqps",
            "Tokens in their last twentieth, or not confirmed by the store. Callers still get what works.",
        ),
    ),
    "Tokens that end": (
        Panel(
            "Time until the first token in use ends",
            {"": f"sort(min by (client) ({FIRST_END}) - time() < Inf)"},
            "s",
            "Per client. Short lives are normal where the issuer gives short tokens; the next panel is the alarm.",
            kind="table",
            red_below=300,
        ),
        Panel(
            "Keys without a successor in time",
            {"{{client}}": f"max by (client) (mintonce_tokens_overdue{{{CLIENT}}})"},
            "short",
            "Tokens in use, past half of the time between refresh and end. Above 0, MintonceTokenEndsSoon fires.",
            red_above=1,
        ),
        Panel(
            "Life left when the successor came",
            {
                title: f"histogram_quantile({share}, {increase('mintonce_refresh_lead_seconds_bucket', 'le', JOB)})"
                for title, share in (("all but 1 %", 0.01), ("half", 0.5))
            },
            "s",
            "Small numbers are near misses.",
        ),
        Panel(
            "Keys with a live token",
            {"{{client}}": f"max by (client) (mintonce_tokens_live{{{CLIENT}}})"},
            "short",
            "At the replica that holds most of them: all replicas hold the same tokens.",
        ),
    ),
    "Mints": (
        Panel(
            "Mints by cause",
            {"{{cause}}": increase("mintonce_mints_total", "cause")},
            "short",
            "POSTs of the last hour. `refresh` and `absent` are needed; `rejected`, `rotation` and `outage` are extra.",
        ),
        Panel(
            "Mints by outcome",
            {"{{outcome}}": increase("mintonce_mints_total", "outcome")},
            "short",
            "POSTs of the last hour. Anything but `minted` is a failure; the log has the issuer's words.",
        ),
        Panel(
            "Rejected tokens",
            {"{{client}} {{result}}": increase("mintonce_rejections_total", "client, result")},
            "short",
            "Callers whose API refused a token. `current` costs a mint.",
        ),
        Panel(
            "Keys in back-off",
            {"{{client}}": f"max by (client) (mintonce_backoffs_open{{{CLIENT}}})"},
            "short",
            "Keys for which the issuer failed a moment ago. Nothing is sent for them until the back-off ends.",
        ),
    ),
    "Issuers": (
        Panel(
            "Duration of a POST",
            quantiles("mintonce_mint_duration_seconds", 'job="$job"', "issuer"),
            "s",
            "Mints, until the issuer's answer or mint_timeout.",
        ),
        Panel(
            "HTTP answers",
            {
                "{{server_address}} {{http_response_status_code}} {{error_type}}": rate(
                    "http_client_request_duration_seconds_count",
                    "server_address, http_response_status_code, error_type",
                )
            },
            "reqps",
            "Requests to issuers: for tokens, metadata and signing keys.",
        ),
        Panel(
            "Lifetime of minted tokens",
            quantiles("mintonce_token_lifetime_seconds", 'job="$job"', "issuer"),
            "s",
            "A longer lifetime at the issuer is the cheapest way to fewer mints.",
        ),
    ),
    "Store": (
        Panel(
            "Duration of an operation",
            quantiles("db_client_operation_duration_seconds", 'job="$job"', "db_stored_procedure_name"),
            "s",
            "Scripts in Redis or Valkey, each with its repetition.",
        ),
        Panel(
            "Failed operations",
            {
                "{{error_type}}": rate(
                    "db_client_operation_duration_seconds_count", "error_type", 'job="$job", error_type!=""'
                )
            },
            "reqps",
            "Operations without an answer. Tokens come from memory meanwhile.",
        ),
        Panel(
            "Replicas that reach the store",
            {"reach": 'sum(mintonce_store_up{job="$job"})', "all": 'count(mintonce_store_up{job="$job"})'},
            "short",
            "Do not restart or scale replicas while these differ.",
        ),
        Panel(
            "Time without the store",
            {"{{instance}}": 'increase(mintonce_store_outage_seconds_total{job="$job"}[1h])'},
            "s",
            "Of the last hour, per replica.",
        ),
    ),
    "Budget": (
        Panel(
            "Tokens of this month",
            {
                "{{client}} used": f"max by (client) (mintonce_budget_used_tokens{{{CLIENT}}})",
                "{{client}} forecast": f"max by (client) (mintonce_budget_forecast_tokens{{{CLIENT}}})",
                "{{client}} budget": f"max by (client) (mintonce_budget_limit_tokens{{{CLIENT}}})",
            },
            "short",
            "What the fleet minted, what it will have minted at the end of the month, and what it may.",
        ),
        Panel(
            "Quota left at the issuer",
            {"{{issuer}} {{client}} {{window}}": f"min by (issuer, client, window) ({LEFT})"},
            "percentunit",
            "As the issuer's answers say it. Most issuers say nothing.",
            red_below=0.1,
        ),
    ),
}

REPLICA: Final[Rows] = {
    "Load": (
        Panel(
            "Event loop",
            {"{{instance}}": f"max by (instance) (mintonce_loop_lag_seconds{HERE})"},
            "s",
            "How late a timer was at worst since the last scrape. One loop does all work: above 0.1 s callers feel it.",
            red_above=0.1,
        ),
        Panel(
            "CPU",
            {"{{instance}}": f"rate(process_cpu_seconds_total{HERE}[$__rate_interval])"},
            "percentunit",
            "100 % is one core, and all that a replica can use.",
        ),
        Panel(
            "Memory",
            {"{{instance}}": f"process_resident_memory_bytes{HERE}"},
            "bytes",
            "Resident memory of the process.",
        ),
        Panel(
            "Calls in progress",
            {
                "{{instance}} {{kind}}": f"sum by (instance, kind) (mintonce_rpcs_in_flight{HERE})",
                "{{instance}} limit": f"max by (instance) (mintonce_rpcs_limit{HERE})",
            },
            "short",
            "Beyond the limit calls are refused. unary and watch share it; http, the token endpoint, has as many.",
        ),
        Panel(
            "Open files",
            {"{{instance}}": f"process_open_fds{HERE} / process_max_fds{HERE}"},
            "percentunit",
            "Share of the descriptors that the process may open. Each connection takes one.",
            red_above=0.8,
        ),
    ),
    "Waiting": (
        Panel(
            "Calls that wait for a mint",
            {
                "{{instance}} calls": f"mintonce_waiters{HERE}",
                "{{instance}} keys": f"mintonce_flights{HERE}",
            },
            "short",
            "Keys that are being fetched or minted, and the calls that wait for them.",
        ),
        Panel(
            "Wait for another replica's mint",
            quantiles("mintonce_lease_wait_seconds", 'job="$job", instance=~"$instance"', "instance"),
            "s",
            "The other replica has the lease.",
        ),
        Panel(
            "Refreshes begin late",
            quantiles("mintonce_refresh_lag_seconds", 'job="$job", instance=~"$instance"', "instance"),
            "s",
            "After they were due.",
        ),
        Panel(
            "Refreshes",
            {
                "{{instance}} due": f"mintonce_refreshes_due{HERE}",
                "{{instance}} running": f"mintonce_refreshes_running{HERE}",
            },
            "short",
            "Keys whose time has come, and those that are being refreshed.",
        ),
    ),
    "Store": (
        Panel(
            "Wake round trip",
            quantiles("mintonce_wake_round_trip_seconds", 'job="$job", instance=~"$instance"', "instance"),
            "s",
            "From sending a change to hearing its own message: how soon other replicas learn of it.",
        ),
        Panel(
            "Subscriptions",
            {"{{instance}}": f"mintonce_wake_subscriptions{HERE}"},
            "short",
            "For wake messages. At 0 the replica learns of rejections only when it asks the store.",
            red_below=1,
        ),
        Panel(
            "Longest time without confirmation",
            {
                "{{instance}}": f"mintonce_revalidation_oldest_age_seconds{HERE}",
                "{{instance}} allowed": f"mintonce_revalidate_seconds{HERE}",
            },
            "s",
            "Of the tokens in use. Above revalidate_interval tokens are served degraded.",
        ),
        Panel(
            "Time since the store answered",
            {"{{instance}}": f"time() - mintonce_store_last_success_timestamp_seconds{HERE}"},
            "s",
            "A replica without traffic asks seldom.",
        ),
    ),
    "Guards": (
        Panel(
            "Audit writes",
            quantiles("mintonce_audit_write_seconds", 'job="$job", instance=~"$instance"', "instance"),
            "s",
            "Each record is written before its answer is sent: a slow disk is a slow service.",
        ),
        Panel(
            "Audit failures",
            {"{{instance}}": f"increase(mintonce_audit_failures_total{HERE}[5m])"},
            "short",
            "Records that could not be written. No token is handed out meanwhile.",
            red_above=1,
        ),
        Panel(
            "Refused files",
            {"{{instance}} {{what}}": f"mintonce_reload_ok{HERE} == 0"},
            "short",
            "Files that changed and were refused. Their former content stays in use.",
        ),
        Panel(
            "Time until certificates end",
            {"{{what}}": f"min by (what) (mintonce_certificate_expiry_timestamp_seconds{HERE}) - time()"},
            "s",
            "Of the server, and of clients that authenticate with one.",
            kind="table",
        ),
    ),
}
