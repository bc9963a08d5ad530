"""Where the broker's events go: all to the log, each POST to the audit log; a token for another audience is logged."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import asdict
from typing import Final, TypeGuard

from mintonce_server.core import events
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.core.ports import Clock
from mintonce_server.issuer.response import AUDIENCE_REMEDY, WrongAudience
from mintonce_server.observability.audit import AuditLog, MintRecord
from mintonce_server.observability.faults import FaultLog
from mintonce_server.observability.journal import event_sink, guarded
from mintonce_server.observability.logs import get_logger

WARN_EVERY: Final = 600.0
"""Seconds between two warnings about one key's audience."""
WARNED_MAX: Final = 1024
"""Keys that are remembered as warned about."""
WARNINGS_A_MINUTE: Final = 20
"""Of all keys together."""

Post = events.Minted | events.MintFailed


def sink_of(audit: AuditLog, unchecked: Collection[str], clock: Clock, faults: FaultLog) -> events.EventSink:
    """`unchecked`: clients whose tokens may be for any audience without a word.

    Never raises, and what one of its parts raises keeps no event from the others.
    """
    journal = guarded(event_sink(get_logger("mintonce")), faults)
    audiences = AudienceWarnings(unchecked, clock)

    def look_at_posts(event: events.Event) -> None:
        if _is_post(event):
            audiences.look_at(event)

    def audit_posts(event: events.Event) -> None:
        if audit.is_on and _is_post(event):
            _audit_mint(audit, event)

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
    """Says when a JWT names other audiences than the one that was asked for."""

    def __init__(self, unchecked: Collection[str], clock: Clock) -> None:
        self._unchecked = frozenset(unchecked)
        self._clock = clock
        self._warned: OrderedDict[str, float] = OrderedDict()
        self._minute, self._count = 0.0, 0

    def look_at(self, event: Post) -> None:
        asked, (_, granted) = event.key.audience, _granted(event)
        if not asked or not granted or asked in granted or event.key.client in self._unchecked:
            return
        if self._is_due(event.key_hash):
            get_logger("mintonce").warning(
                "audience_differs",
                key_hash=event.key_hash,
                client=event.key.client,
                asked=asked,
                granted=granted,
                refused=isinstance(event, events.MintFailed),
                remedy=AUDIENCE_REMEDY,
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
    """Whether a POST was made, and this is what came of it."""
    return isinstance(event, events.Minted) or (isinstance(event, events.MintFailed) and event.posted)


def _granted(event: Post) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Scopes and audience, also of a token that was refused because of them."""
    if isinstance(event, events.Minted):
        return event.scopes, event.audience
    if isinstance(event.error, WrongAudience):
        return event.error.grant.scopes, event.error.grant.audience
    return (), ()


def _audit_mint(audit: AuditLog, event: Post) -> None:
    minted = event if isinstance(event, events.Minted) else None
    error = event.error if isinstance(event, events.MintFailed) else None
    scopes, audience = _granted(event)
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
        issuer_request_id=minted.request_id if minted else error.request_id if error else "",
        token_sha256=minted.fingerprint[:16] if minted else "",
        seconds=event.seconds,
        granted_scopes=scopes,
        granted_audience=audience,
    )
    try:
        audit.write(record)
    except AuditUnavailable as trouble:
        # The token is paid for: whoever wants it is audited, and refused, by itself.
        get_logger(__name__).error("audit_unavailable", detail=str(trouble), remedy=trouble.remedy, lost=asdict(record))
