"""Where the broker's events go: to the log, POSTs also to the audit log. Warns of tokens for another audience."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Final, Protocol

from mintonce_server.core import events
from mintonce_server.core.errors import AuditUnavailable, MintonceError
from mintonce_server.core.ports import Clock
from mintonce_server.observability.audit import AuditLog, MintRecord
from mintonce_server.observability.journal import event_sink, guarded
from mintonce_server.observability.logs import get_logger
from mintonce_server.observability.quiet import FaultLog

WARN_EVERY: Final = 600.0
"""Seconds between two warnings about one key's audience."""
WARNED_MAX: Final = 1024
"""Keys for which the time of the last warning is kept."""
WARNINGS_A_MINUTE: Final = 20
"""For all keys together."""


class Granted(Protocol):
    """What an issuer granted, though the token was refused because of it."""

    @property
    def scopes(self) -> tuple[str, ...]: ...

    @property
    def audience(self) -> tuple[str, ...]: ...


GrantedOf = Callable[[MintonceError | None], Granted | None]
"""The grant of a token that was refused with this error, if its error has one."""


def sink_of(
    audit: AuditLog, audiences: "AudienceWarnings", granted_of: GrantedOf, faults: FaultLog
) -> events.EventSink:
    """Never raises. An exception in one part does not keep the event from the others."""
    journal = guarded(event_sink(get_logger("mintonce")), faults)

    def look_at_posts(event: events.Event) -> None:
        if isinstance(event, events.Posted):
            audiences.look_at(event)

    def audit_posts(event: events.Event) -> None:
        if isinstance(event, events.Posted) and audit.is_on:
            _audit_mint(audit, event, granted_of)

    warnings, posts = guarded(look_at_posts, faults), guarded(audit_posts, faults)

    def sink(event: events.Event) -> None:
        if isinstance(event, events.Unforeseen):
            faults(event.where, event.error, event.key_hash)
            return
        journal(event)
        warnings(event)
        posts(event)

    return sink


class AudienceWarnings:
    """Warns when a JWT names other audiences than the requested one.

    `unchecked`: clients whose tokens may be for any audience.
    """

    def __init__(self, unchecked: Collection[str], clock: Clock, granted_of: GrantedOf, remedy: str) -> None:
        self._unchecked = frozenset(unchecked)
        self._clock = clock
        self._granted_of = granted_of
        self._remedy = remedy
        self._warned: OrderedDict[str, float] = OrderedDict()
        self._minute, self._count = 0.0, 0

    def look_at(self, event: events.Posted) -> None:
        asked, (_, granted) = event.key.audience, _granted(event, self._granted_of)
        if not asked or not granted or asked in granted or event.key.client in self._unchecked:
            return
        if self._is_due(event.key_hash):
            get_logger("mintonce").warning(
                "audience_differs",
                key_hash=event.key_hash,
                client=event.key.client,
                asked=asked,
                granted=granted,
                refused=event.error is not None,
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


def _granted(event: events.Posted, granted_of: GrantedOf) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Scopes and audience, also of a token that was refused because of them."""
    if (refused := granted_of(event.error)) is not None:
        return refused.scopes, refused.audience
    return event.scopes, event.audience


def _audit_mint(audit: AuditLog, event: events.Posted, granted_of: GrantedOf) -> None:
    error, (scopes, audience) = event.error, _granted(event, granted_of)
    record = MintRecord(
        client=event.key.client,
        audience=event.key.audience,
        scopes=event.key.scopes,
        key=event.key_hash,
        generation=event.generation,
        cause=event.cause,
        outcome="failed" if error else "minted",
        reason=error.reason if error else "",
        issuer_error=error.issuer_error if error else "",
        issuer_request_id=event.request_id,
        token_sha256=event.fingerprint[:16],
        seconds=event.seconds,
        granted_scopes=scopes,
        granted_audience=audience,
    )
    try:
        audit.write(record)
    except AuditUnavailable as trouble:
        # The token is already minted. A call that wants it writes its own audit record, and is refused if that fails.
        get_logger(__name__).error("audit_unavailable", detail=str(trouble), remedy=trouble.remedy, lost=asdict(record))
