"""The sections of the status page: from values to HTML. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from mintonce_server.core.events import Cause
from mintonce_server.core.findings import duration
from mintonce_server.core.status import (
    LIVES,
    STATES,
    BudgetRow,
    CallerRow,
    ClientRow,
    EventRow,
    Failed,
    FileRow,
    FleetRow,
    IssuerRow,
    KeyFilter,
    KeyRow,
    Level,
    ReplicaView,
    StatusSnapshot,
    StoreView,
    TokenEndpointView,
)
from mintonce_server.web import pictures
from mintonce_server.web.markup import (
    UNKNOWN,
    Table,
    ago,
    ahead,
    date,
    marked,
    moment,
    number,
    plural,
    sign,
    state,
    took,
)

SHOWN: Final = 12
"""Characters of a key's hash: enough to find it in the log."""

_LIVES: Final = ("under 1 min", "1 to 10 min", "10 to 60 min", "1 to 6 h", "6 to 24 h", "over 1 d")
_CAUSES: Final[Mapping[str, str]] = {
    Cause.ABSENT: "no token was there",
    Cause.EXPIRING: "a caller wanted a longer life",
    Cause.REFRESH: "ahead of the end",
    Cause.REJECTED: "an API refused the token",
    Cause.ROTATION: "an administrator asked",
    Cause.OUTAGE: "the store was away",
    "failed": "of all these",
}


def verdict(snapshot: StatusSnapshot) -> str:
    """The sentence, and what needs a person."""
    items = "".join(
        f"<li><span class={each.level}>{sign(each.level)}</span>{escape(each.text)}"
        f"{_runbook(each.runbook)}{f'<p>{escape(each.remedy)}</p>' if each.remedy else ''}"
        for each in snapshot.findings
    )
    return (
        f'<section id=verdict class="box verdict {snapshot.level}">'
        f"<p class=sentence role=status>{sign(snapshot.level)} {escape(snapshot.sentence)}</p>"
        f"{f'<ul>{items}</ul>' if items else ''}</section>"
    )


def _runbook(url: str) -> str:
    return f' <a href="{escape(url)}" rel=noreferrer>Runbook</a>' if url else ""


def cards(snapshot: StatusSnapshot) -> str:
    """The fleet at a glance."""
    each = (_tokens(snapshot), _ratio(snapshot.clients), _calls(snapshot.replica), _store(snapshot.store))
    return f"<section class=cards aria-label=Overview>{''.join(each)}</section>"


def _tokens(snapshot: StatusSnapshot) -> str:
    ends = [row.soonest_end_in for row in snapshot.clients if row.soonest_end_in is not None]
    return _card(
        "Tokens",
        f"{sum(snapshot.keys.by_life):,} <span class=unit>live</span>",
        f"of {plural(snapshot.keys.total, 'key')}",
        f"the soonest ends in {duration(min(ends))}" if ends else "",
    )


def _ratio(clients: Sequence[ClientRow]) -> str:
    posts = sum(row.posts for row in clients)
    served = sum(row.served for row in clients if row.served is not None)
    known = any(row.served is not None for row in clients)
    said = f"{served:,} handed out, " if known else ""
    ratio = f"{served / posts:,.0f}" if known and posts else UNKNOWN
    return _card("Tokens per POST", ratio, f"{said}{plural(posts, 'POST')} since the start")


def _calls(replica: ReplicaView) -> str:
    lines: list[str] = []
    if replica.errors_per_second is not None:
        lines.append(f"{replica.errors_per_second:,.2f} failed a second")
    if replica.in_flight is not None:
        most = f" of {replica.in_flight_limit:,}" if replica.in_flight_limit else ""
        watches = f", {plural(replica.watches, 'watch', 'watches')}" if replica.watches is not None else ""
        lines.append(f"{replica.in_flight:,}{most} in flight{watches}")
    lines.extend(_token_endpoint(replica.token_endpoint))
    return _card("Calls", f"{number(replica.calls_per_second, ',.1f')} <span class=unit>a second</span>", *lines)


def _token_endpoint(endpoint: TokenEndpointView) -> Iterator[str]:
    """The requests among the calls."""
    if endpoint.listen:
        failed = f", {endpoint.errors_per_second:,.2f} failed" if endpoint.errors_per_second is not None else ""
        rate = number(endpoint.requests_per_second, ",.1f")
        yield f"token endpoint {escape(endpoint.listen)}: {rate} a second{failed}"


def _store(store: StoreView) -> str:
    up = "not asked yet"
    if store.is_up is not None:
        up = "up" if store.is_up else "away"
    if store.is_up is False and store.away_for is not None:
        up = f"away <span class=unit>for {duration(store.away_for)}</span>"
    latency = "no answer in the last 5 minutes"
    if store.latency.count:
        latency = f"p50 {took(store.latency.p50)}, p99 {took(store.latency.p99)} (5 min)"
    wakes = [f"last wake {duration(store.wake_ago)} ago"] if store.wake_ago is not None else []
    if store.wake_lag.count:
        wakes.append(f"lag {took(store.wake_lag.p99)} (p99)")
    return _card("Store", up, latency, ", ".join(wakes))


def _card(heading: str, big: str, *lines: str) -> str:
    said = "".join(f"<p>{line}</p>" for line in lines if line)
    return f'<div class="box card"><h2>{heading}</h2><div class=big>{big}</div>{said}</div>'


def lives(snapshot: StatusSnapshot) -> str:
    """Tokens by life left, and the next refreshes on the same axis."""
    counts = snapshot.keys.by_life or (0,) * (len(LIVES) + 1)
    columns = "".join(
        f"<div><dt>{name}</dt><dd>{count:,}{pictures.column(count, max(counts))}</dd></div>"
        for name, count in zip(_LIVES, counts, strict=True)
    )
    due = snapshot.keys.refreshes_in
    said = "none is ahead"
    if due:
        said = f"{plural(len(due), 'key')}, the first in {duration(due[0])}"
    return (
        f"<section class=box><h2>Tokens by life left</h2><dl class=lives>{columns}</dl>"
        f"{pictures.timeline(due, f'Timeline of the next refreshes: {said}')}"
        f"<p class=soft>Next refreshes: {said}</p></section>"
    )


def mints(snapshot: StatusSnapshot) -> str:
    """POSTs of the last hour by cause."""
    shown = {cause.value: counts for cause, counts in snapshot.mints.by_cause.items() if any(counts)}
    most = max((max(counts) for counts in shown.values()), default=1)
    if any(snapshot.mints.failed):
        shown["failed"] = snapshot.mints.failed

    def cells(row: tuple[str, tuple[int, ...]]) -> Sequence[str]:
        kind, counts = row
        name, total = _CAUSES[kind], sum(counts)
        title = f"{kind}: {plural(total, 'POST')} in the last hour, at most {max(counts):,} in a minute"
        return f"{kind}<small>{name}</small>", pictures.minutes(counts, most, kind, title), f"{total:,}"

    return Table(
        "Mints by cause",
        (("Cause", ""), ("60 minutes, a bar each", "p"), ("In all", "n")),
        cells,
        note="POSTs of this replica",
        none="No POST in the last hour.",
    ).draw(shown.items())


def issuers(snapshot: StatusSnapshot) -> str:
    """Issuers with latency and back-offs."""

    def cells(row: IssuerRow) -> Sequence[str]:
        return (
            escape(row.name),
            _standing(row.failed, row.succeeded_ago),
            ago(snapshot.as_of, row.succeeded_ago),
            took(row.latency.p50),
            took(row.latency.p99),
            f"{row.posts:,}",
            f"{row.failures:,}",
            _failure(snapshot.as_of, row.failed),
        )

    numbers = ("Last token", "p50", "p99", "POSTs", "Failed")
    columns = [("Issuer", ""), ("State", ""), *((name, "n") for name in numbers), ("Last failure", "wrap")]
    return Table("Issuers", columns, cells).draw(snapshot.issuers)


def _standing(failed: Failed | None, succeeded_ago: float | None) -> str:
    if failed is not None and failed.lasting:
        soon = f", next in {duration(failed.retry_in)}" if failed.retry_in else ""
        return marked(Level.TROUBLE, f"failing{soon}")
    if succeeded_ago is None:
        return f"<span class=idle>{sign('idle')} not asked yet</span>"
    return marked(Level.WELL, "well")


def _failure(as_of: float, failed: Failed | None) -> str:
    if failed is None:
        return "none"
    code = f" ({escape(failed.issuer_error)})" if failed.issuer_error else ""
    return f"{ago(as_of, failed.ago)}: {escape(failed.reason)}{code}<small>{escape(failed.detail)}</small>"


def clients(snapshot: StatusSnapshot) -> str:
    """The registered clients."""

    def cells(row: ClientRow) -> Sequence[str]:
        return (
            escape(row.name),
            escape(row.issuer),
            _standing(row.failed, row.succeeded_ago),
            f"{row.live:,} of {row.keys:,}",
            ahead(snapshot.as_of, row.soonest_end_in),
            f"{row.watchers:,}",
            f"{row.posts:,}",
            f"{row.served / row.posts:,.0f}" if row.served is not None and row.posts else UNKNOWN,
        )

    numbers = ("Live keys", "Soonest end", "Watches", "POSTs", "Tokens per POST")
    columns = [("Client", ""), ("Issuer", ""), ("State", ""), *((name, "n") for name in numbers)]
    return Table("Clients", columns, cells).draw(snapshot.clients)


def budget(snapshot: StatusSnapshot) -> str:
    """Mints of the fleet against what the issuer allows. Nothing where nothing is counted."""

    def cells(row: BudgetRow) -> Sequence[str]:
        part = row.used / row.budget if row.budget else 0.0
        saved = "" if row.saved is None else f"<small>{row.saved:,} saved</small>"
        used = f"{pictures.share(part, f'{part:.0%} used')}{part:.0%}" if row.budget else UNKNOWN
        return (
            escape(row.name),
            f"{escape(row.period)}{'<small>by the issuer</small>' if row.is_quota else ''}{saved}",
            f"{row.used:,}",
            number(row.budget),
            used,
            number(row.forecast),
        )

    columns = (("Client", ""), ("Period", "any"), ("Minted", "n"), ("Budget", "n"), ("Used", "w"), ("Forecast", "n"))
    return Table("Budget", columns, cells, note="of the whole fleet").draw(snapshot.budget) if snapshot.budget else ""


def fleet(snapshot: StatusSnapshot) -> str:
    """All replicas that the store knows. Nothing before it was asked."""
    if not snapshot.fleet:
        return ""

    def cells(row: FleetRow) -> Sequence[str]:
        this = "<small>this one</small>" if row.is_this else ""
        started = UNKNOWN if row.started is None else moment(row.started, 0.0, date(row.started))
        return f"{escape(row.address or row.id)}{this}", escape(row.version), started

    columns = (("Replica", "any"), ("Version", "any"), ("Started", "n"))
    return Table("Replicas", columns, cells, note="that run, by the store").draw(snapshot.fleet)


def keys(snapshot: StatusSnapshot, wanted: KeyFilter) -> str:
    """The keys in this replica, with a form that filters them."""
    found = snapshot.keys

    def cells(row: KeyRow) -> Sequence[str]:
        soon = f", next in {duration(row.retry_in)}" if row.retry_in else ""
        failure = f"<small>{escape(row.failure)}{soon}</small>" if row.failure else ""
        scopes = f"<small>{escape(' '.join(row.scopes))}</small>" if row.scopes else ""
        generation = f"<small>{row.generation}</small>" if row.generation else ""
        return (
            f"{escape(row.audience) or 'default audience'}{scopes}",
            f"{state(row.state)}{failure}",
            escape(row.client),
            ahead(snapshot.as_of, row.ends_in),
            ahead(snapshot.as_of, row.refresh_in),
            f"{row.watchers or ''}",
            "" if row.asked_ago is None else duration(row.asked_ago),
            f"<code>{escape(row.key_hash[:SHOWN])}{generation}</code>",
        )

    numbers = ("Ends in", "Refresh in", "Watches", "Asked ago")
    columns = [("Audience, scopes", "wrap"), ("State", "w"), ("Client", "")]
    columns += [*((name, "n") for name in numbers), ("Key, generation", "")]
    of = plural(found.matched, "key")
    if found.matched != found.total:
        of = f"{found.matched:,} that match, {found.total:,} in all"
    return Table(
        "Keys",
        columns,
        cells,
        row_id=lambda row: f"k{escape(row.key_hash[:SHOWN])}",
        note=f"{len(found.rows):,} of {of}; trouble first, then by end",
        none="No key matches." if found.total else "This replica holds no key yet. One comes with the first GetToken.",
        before=_form(snapshot, wanted),
    ).draw(found.rows)


def _form(snapshot: StatusSnapshot, wanted: KeyFilter) -> str:
    clients = _options([row.name for row in snapshot.clients], wanted.client)
    return (
        '<form id=keys method=get action=/status#keys role=search aria-label="Filter keys">'
        f"<label>Client <select id=client name=client>{clients}</select></label>"
        f"<label>State <select id=state name=state>{_options([*STATES], wanted.state)}</select></label>"
        f'<label>Find in audience, scopes, key <input id=find name=find type=search value="{escape(wanted.find)}" '
        "maxlength=200></label><button>Filter</button></form>"
    )


def _options(names: list[str], chosen: str) -> str:
    each = "".join(f"<option{' selected' if name == chosen else ''}>{escape(name)}</option>" for name in names)
    return f"<option value=''>all</option>{each}"


def callers(snapshot: StatusSnapshot) -> str:
    """Callers that were denied something."""

    def cells(row: CallerRow) -> Sequence[str]:
        name = escape(row.name) or "<small>no valid identity</small>"
        return name, f"{row.denials:,}", escape(row.why), escape(row.act), ago(snapshot.as_of, row.ago)

    columns = (("Caller", "any"), ("Denials", "n"), ("Last reason", ""), ("Wanted to", ""), ("Last", "n"))
    return Table("Denied callers", columns, cells, none="None since the start.").draw(snapshot.callers)


def events(snapshot: StatusSnapshot) -> str:
    """What happened here lately."""

    def cells(row: EventRow) -> Sequence[str]:
        remedy = f"<small>{escape(row.remedy)}</small>" if row.remedy else ""
        return (
            marked(row.level, row.kind),
            ago(snapshot.as_of, row.ago),
            escape(row.client),
            f"{escape(row.text)}{remedy}",
            f"<code>{escape(row.key_hash[:SHOWN])}</code>",
        )

    columns = (("What", "w"), ("When", "n"), ("Client", ""), ("Said", "wrap"), ("Key", ""))
    return Table("Last events", columns, cells, none="None since the start.").draw(snapshot.events)


def files(snapshot: StatusSnapshot) -> str:
    """What is loaded from files."""

    def cells(row: FileRow) -> Sequence[str]:
        said = marked(Level.WELL, "in use")
        if row.refused:
            said = (
                f"{marked(Level.TROUBLE, 'change refused')}<small>{escape(row.refused)}. {escape(row.remedy)}</small>"
            )
        return escape(row.name), said, ago(snapshot.as_of, row.loaded_ago), ahead(snapshot.as_of, row.ends_in)

    columns = (("File", ""), ("State", "any"), ("Loaded", "n"), ("Ends in", "n"))
    return Table("Files", columns, cells, none="Nothing is loaded from files.").draw(snapshot.files)
