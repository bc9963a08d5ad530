"""What is not well, in words: from the values of the status page. Pure, and the same conditions as the alerts."""

from collections.abc import Iterable, Iterator
from typing import Final

from mintonce_server.core.errors import Reason
from mintonce_server.core.status import (
    BudgetRow,
    ClientRow,
    Failed,
    FileRow,
    Finding,
    IssuerRow,
    Level,
    State,
    StatusSnapshot,
    StoreView,
)

RECENT: Final = 300.0
"""Seconds after which a failure without a further try no longer counts."""
MOST: Final = 12
SOON: Final = 7 * 86_400.0
"""Seconds before its end from which a certificate is reported."""
NEARLY: Final = 0.8
"""The share of a budget from which it is reported."""

RUNBOOK: Final = "https://github.com/mintonce/mintonce/blob/main/docs/operating/runbook.md"

_ANCHORS: Final = {
    Reason.ISSUER_UNAVAILABLE: "the-issuer-is-down-slow-or-answers-garbage",
    Reason.ISSUER_MALFORMED: "the-issuer-is-down-slow-or-answers-garbage",
    Reason.ISSUER_THROTTLED: "the-issuer-limits-the-rate",
    Reason.ISSUER_REFUSED: "the-issuer-refuses-the-client",
}
STORE_ANCHOR: Final = "redis-is-down-or-hangs"
RUNBOOK_ANCHORS: Final = frozenset({*_ANCHORS.values(), STORE_ANCHOR})

_SAYS: Final = {
    Reason.ISSUER_UNAVAILABLE: "{issuer} gives no tokens",
    Reason.ISSUER_MALFORMED: "{issuer} gives answers that are not tokens",
    Reason.ISSUER_THROTTLED: "{issuer} limits the rate",
    Reason.ISSUER_REFUSED: "{issuer} refuses client “{client}”",
}


def findings(snapshot: StatusSnapshot) -> tuple[Finding, ...]:
    """The worst first."""
    found = [
        *_of_store(snapshot.store),
        *_of_issuers(snapshot.issuers, snapshot.clients),
        *_of_keys(snapshot),
        *_of_files(snapshot.files),
        *_of_budget(snapshot.budget),
    ]
    if snapshot.replica.is_draining:
        found.append(Finding(Level.NOTICE, "This replica is shutting down.", "Callers move to the other replicas."))
    found.sort(key=lambda each: each.level is not Level.TROUBLE)
    return tuple(found[:MOST])


def duration(seconds: float) -> str:
    """The two largest units, rounded down: 2 h 14 min, 41 s."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def _of_store(store: StoreView) -> Iterator[Finding]:
    if store.is_up is False:
        since = f" for {duration(store.away_for)}" if store.away_for is not None else ""
        why = f": {store.detail}" if store.detail else ""
        remedy = "Tokens in memory are served meanwhile. Bring the store back; do not restart replicas."
        yield Finding(Level.TROUBLE, f"The store has not answered{since}{why}.", remedy, f"{RUNBOOK}#{STORE_ANCHOR}")


def _is_fresh(failed: Failed) -> bool:
    """Whether it lasts, and was tried lately. A caller's invented key is tried once, and never again."""
    return failed.lasting and (failed.ago <= RECENT or (failed.retry_in or 0.0) > 0.0)


def _of_issuers(issuers: Iterable[IssuerRow], clients: Iterable[ClientRow]) -> Iterator[Finding]:
    """One for each client that is refused; one for each issuer that is in trouble, whatever its clients."""
    reported: set[str] = set()
    for client in clients:
        failed = client.failed
        if failed is None or not _is_fresh(failed):
            continue
        refused = failed.reason == Reason.ISSUER_REFUSED
        if not refused and client.issuer in reported:
            continue
        if not refused:
            reported.add(client.issuer)
        yield _of_failure(failed, client.issuer, client)
    for issuer in issuers:
        failed = issuer.failed
        if failed and _is_fresh(failed) and issuer.name not in reported and failed.reason != Reason.ISSUER_REFUSED:
            yield _of_failure(failed, issuer.name, None)


def _of_failure(failed: Failed, issuer: str, client: ClientRow | None) -> Finding:
    says = _SAYS.get(Reason(failed.reason), "{issuer} failed")
    text = says.format(issuer=f"Issuer “{issuer}”", client=client.name if client else "")
    code = f" ({failed.issuer_error})" if failed.issuer_error else ""
    end = client.soonest_end_in if client else None
    left = f" Its soonest token lives {duration(end)} more." if end is not None else " It has no live token here."
    since = f" for {duration(failed.since)}" if failed.since >= 1.0 else ""
    anchor = _ANCHORS.get(Reason(failed.reason))
    runbook = f"{RUNBOOK}#{anchor}" if anchor else ""
    return Finding(Level.TROUBLE, f"{text}{code}{since}.{left if client else ''}", failed.remedy, runbook)


def _of_keys(snapshot: StatusSnapshot) -> Iterator[Finding]:
    """What the issuers' and the store's own findings do not say."""
    if any(row.failed and _is_fresh(row.failed) for row in snapshot.clients):
        return
    if count := snapshot.keys.by_state.get(State.DUE, 0):
        refreshes = "1 refresh is" if count == 1 else f"{count} refreshes are"
        yield Finding(Level.NOTICE, f"{refreshes} overdue.", "See whether this machine is overloaded.")


def _of_files(files: Iterable[FileRow]) -> Iterator[Finding]:
    for row in files:
        if row.refused:
            yield Finding(Level.TROUBLE, f"The change of “{row.name}” is not in use: {row.refused}.", row.remedy)
        elif row.ends_in is not None and row.ends_in <= SOON:
            ends = f"ends in {duration(row.ends_in)}" if row.ends_in > 0 else "has ended"
            level = Level.NOTICE if row.ends_in > SOON / 7 else Level.TROUBLE
            yield Finding(level, f"The {row.name} {ends}.", "Renew it: the new one is used without a restart.")


def _of_budget(rows: Iterable[BudgetRow]) -> Iterator[Finding]:
    for row in rows:
        if not row.budget:
            continue
        share = row.used / row.budget
        if share >= NEARLY:
            level = Level.TROUBLE if share >= 1.0 else Level.NOTICE
            what = f"quota “{row.period}” at its issuer" if row.is_quota else f"budget of this {row.period}"
            text = f"“{row.name}” has used {share:.0%} of its {what}: {row.used:,} of {row.budget:,} tokens."
            yield Finding(level, text, "See which keys mint most, and why.")
