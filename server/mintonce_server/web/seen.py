"""What a reader may see of a snapshot who administers only some clients. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mintonce_server.core.status import ClientRow, Failed, IssuerRow, StatusSnapshot


def only_seen(snapshot: StatusSnapshot, sees_client: Callable[[str], bool]) -> StatusSnapshot:
    """Without what belongs to clients that the reader does not administer."""
    if all(sees_client(row.name) for row in snapshot.clients):
        return snapshot
    clients = tuple(row for row in snapshot.clients if sees_client(row.name))
    return replace(
        snapshot,
        clients=clients,
        issuers=tuple(_issuers(snapshot.issuers, snapshot.clients, clients)),
        budget=tuple(row for row in snapshot.budget if sees_client(row.name)),
        events=tuple(row for row in snapshot.events if row.client and sees_client(row.client)),
        callers=(),
        files=(),  # their names and faults name other clients
        mints=replace(snapshot.mints, by_cause={}, failed=()),
    )


def _issuers(rows: Sequence[IssuerRow], clients: Sequence[ClientRow], seen: Sequence[ClientRow]) -> Sequence[IssuerRow]:
    """Those of the clients that are seen. An issuer that others use, too, is shown as these clients found it."""
    found: list[IssuerRow] = []
    for row in rows:
        its = [client for client in seen if client.issuer == row.name]
        is_shared = len(its) < sum(client.issuer == row.name for client in clients)
        if its:
            found.append(_as_found_by(its, row) if is_shared else row)
    return found


def _as_found_by(clients: Sequence[ClientRow], issuer: IssuerRow) -> IssuerRow:
    """Only how long its answers take is said of all: that is a matter of the issuer, not of a client."""
    succeeded = [client.succeeded_ago for client in clients if client.succeeded_ago is not None]
    ago = min(succeeded, default=None)
    return IssuerRow(
        name=issuer.name,
        succeeded_ago=ago,
        failed=_last_failure([client.failed for client in clients if client.failed is not None], ago),
        latency=replace(issuer.latency, count=sum(client.latency.count for client in clients)),
        posts=sum(client.posts for client in clients),
        failures=sum(client.failures for client in clients),
    )


def _last_failure(failures: Sequence[Failed], succeeded_ago: float | None) -> Failed | None:
    if not failures:
        return None
    last = min(failures, key=lambda failed: failed.ago)
    since = max(failed.since for failed in failures if failed.lasting == last.lasting)
    if succeeded_ago is None:
        return replace(last, since=since)
    return replace(last, since=min(since, max(succeeded_ago, last.ago)), lasting=last.ago < succeeded_ago)
