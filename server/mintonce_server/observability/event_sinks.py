"""Where the broker's events go: to the log, POSTs also to the audit log. Warns of tokens for another audience."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Final, Protocol, TypeGuard

from mintonce_server.common.clock import Clock
from mintonce_server.core import events
from mintonce_server.core.errors import AuditUnavailable, MintonceError
from mintonce_server.core.key import MAX_AUDIENCE, audience_names
from mintonce_server.core.text import printable
from mintonce_server.observability.audit import AuditLog, BudgetRecord, MintRecord
from mintonce_server.observability.journal import event_sink, guarded
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import FaultLog

WARN_EVERY: Final = 600.0
"""Seconds between two warnings about one key's audience."""
WARNED_MAX: Final = 1024
"""Keys for which the time of the last warning is kept."""
WARNINGS_A_MINUTE: Final = 20
"""For all keys together."""

Post = events.Minted | events.MintFailed


class Granted(Protocol):
    """What an issuer granted, though the token was refused because of it."""

    @property
    def scopes(self) -> tuple[str, ...]: ...

    @property
    def audience(self) -> tuple[str, ...]: ...


GrantedOf = Callable[[MintonceError | None], Granted | None]
"""The grant of a token that was refused with this error, if its error has one."""


def sink_of(
    audit: AuditLog,
    audiences: "AudienceWarnings",
    granted_of: GrantedOf,
    faults: FaultLog,
    *others: events.EventSink,
) -> events.EventSink:
    """Never raises. An exception in one part does not keep the event from the others.

    `others`: metrics, for example.
    """
    journal = guarded(event_sink(get_logger("mintonce")), faults)

    def look_at_posts(event: events.Event) -> None:
        if _is_post(event):
            audiences.look_at(event)

    def audit_posts(event: events.Event) -> None:
        if not audit.is_on:
            return
        if isinstance(event, events.BudgetReached):
            _write(audit, BudgetRecord(event.client, event.window, event.percent, event.used, event.budget))
        elif _is_post(event):
            _write(audit, _mint_record(event, granted_of))

    parts = [journal, guarded(look_at_posts, faults), guarded(audit_posts, faults)]
    parts += [guarded(other, faults) for other in others]

    def sink(event: events.Event) -> None:
        if isinstance(event, events.Unforeseen):
            faults(event.where, event.error, event.key_hash)
            return
        for part in parts:
            part(event)

    return sink


def fan_out(*sinks: events.EventSink) -> events.EventSink:
    """To each of them, in this order."""

    def sink(event: events.Event) -> None:
        for one in sinks:
            one(event)

    return sink


class AudienceWarnings:
    """Warns when a JWT names other audiences than the requested one.

    `unchecked`: clients whose tokens may be for any audience. `with_several`: those whose audiences are separated by
    spaces.
    """

    def __init__(
        self,
        unchecked: Collection[str],
        with_several: Collection[str],
        clock: Clock,
        granted_of: GrantedOf,
        remedy: str,
    ) -> None:
        self._unchecked = frozenset(unchecked)
        self._with_several = frozenset(with_several)
        self._clock = clock
        self._granted_of = granted_of
        self._remedy = remedy
        self._warned: OrderedDict[str, float] = OrderedDict()
        self._minute, self._count = 0.0, 0

    def look_at(self, event: Post) -> None:
        asked, (_, granted) = event.key.audience, _granted(event, self._granted_of)
        if not asked or not granted or event.key.client in self._unchecked:
            return
        names = audience_names(asked, several=event.key.client in self._with_several)
        if all(printable(name, MAX_AUDIENCE) in granted for name in names):
            return
        if self._is_due(event.key_hash):
            get_logger("mintonce").warning(
                "audience_differs",
                key_hash=event.key_hash,
                client=event.key.client,
                asked=asked,
                granted=granted,
                refused=isinstance(event, events.MintFailed),
                remedy=self._remedy,
            )

    def _is_due(self, key_hash: str) -> bool:
        now = self._clock.monotonic()
        if now - self._warned.get(key_hash, float("-inf")) < WARN_EVERY:
            return False
        if now - self._minute >= 60.0:
            self._minute, self._count = now, 0
        if self._count >= WARNINGS_A_MINUTE:
            return False
        self._count += 1
        self._warned[key_hash] = now
        self._warned.move_to_end(key_hash)
        while len(self._warned) > WARNED_MAX:
            self._warned.popitem(last=False)
        return True


def _is_post(event: events.Event) -> TypeGuard[Post]:
    """Whether this is the result of a POST."""
    return isinstance(event, events.Minted) or (isinstance(event, events.MintFailed) and event.posted)


def _granted(event: Post, granted_of: GrantedOf) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Scopes and audience, also of a token that was refused because of them."""
    if isinstance(event, events.Minted):
        return event.scopes, event.audience
    refused = granted_of(event.error)
    return (refused.scopes, refused.audience) if refused is not None else ((), ())


def _mint_record(event: Post, granted_of: GrantedOf) -> MintRecord:
    minted = event if isinstance(event, events.Minted) else None
    error = event.error if isinstance(event, events.MintFailed) else None
    scopes, audience = _granted(event, granted_of)
    return MintRecord(
        client=event.key.client,
        audience=event.key.audience,
        scopes=event.key.scopes,
        key=event.key_hash,
        generation=event.generation,
        cause=event.cause,
        outcome="failed" if error else "minted",
        reason=error.reason if error else "",
        issuer_error=error.issuer_error if error else "",
        issuer_request_id=minted.request_id if minted else error.request_id if error else "",
        token_sha256=minted.fingerprint[:16] if minted else "",
        seconds=event.seconds,
        granted_scopes=scopes,
        granted_audience=audience,
    )


def _write(audit: AuditLog, record: MintRecord | BudgetRecord) -> None:
    try:
        audit.write(record)
    except AuditUnavailable as trouble:
        # The token is already minted. A call that wants it writes its own audit record, and is refused if that fails.
        get_logger(__name__).error("audit_unavailable", detail=str(trouble), remedy=trouble.remedy, lost=asdict(record))
