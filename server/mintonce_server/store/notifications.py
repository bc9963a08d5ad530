"""The messages of the wake channel: bounded, authenticated, and dropped when they are anything else."""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

from mintonce_server.core.ports import Clock, Wake, WakeKind

VERSION: Final = b"2"
"""First word of each message. It changes when an old release would misread a new one's messages."""

MAX_BYTES: Final = 160
"""Longer messages are dropped before anything in them is read."""

REPORT_EVERY: Final = 60.0
"""Minimum seconds between two reports of dropped messages."""

_MAC_DIGITS: Final = 32
_KEY_LABEL: Final = b"mintonce wake message key 2\0"  # no canonical token key begins like this, see core/key.py
_FORM: Final = re.compile(rb"2 (commit|reject|fail) ([0-9a-f]{1,64}) ([0-9]{1,19})")


class Notifications:
    """Writes and reads `2 kind hash generation mac`.

    Everyone who may publish in Redis can send any bytes. The MAC shows that the sender has the fleet's index key.
    """

    def __init__(self, index_key: bytes, on_drop: Callable[[], None] = lambda: None) -> None:
        """`on_drop` is called for each message that `decode` drops."""
        self._on_drop = on_drop
        self._key = hmac.digest(index_key, _KEY_LABEL, hashlib.sha256)

    def encode(self, kind: WakeKind, key_hash: str, generation: int) -> bytes:
        """The message to publish. `key_hash` is 1 to 64 lowercase hexadecimal digits."""
        body = b"%s %s %s %d" % (VERSION, kind.encode(), key_hash.encode(), generation)
        return body + b" " + self._mac(body)

    def decode(self, data: bytes) -> Wake | None:
        """None for every message that this fleet did not send in this version."""
        match = self._genuine(data)
        if match is None:
            self._on_drop()
            return None
        kind, key_hash, generation = match.groups()
        return Wake(WakeKind(kind.decode()), key_hash.decode(), int(generation))

    def _genuine(self, data: bytes) -> re.Match[bytes] | None:
        if len(data) > MAX_BYTES:
            return None
        body, _, mac = data.rpartition(b" ")
        return _FORM.fullmatch(body) if hmac.compare_digest(mac, self._mac(body)) else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256).hex()[:_MAC_DIGITS].encode()


class Dropped:
    """Counts dropped messages and reports the count, at most once in REPORT_EVERY seconds. Keeps no message."""

    def __init__(self, clock: Clock, report: Callable[[int], None]) -> None:
        self._clock = clock
        self._report = report
        self._count = 0
        self._reported_at = float("-inf")

    def add(self) -> None:
        """Count one more."""
        self._count += 1
        now = self._clock.monotonic()
        if now - self._reported_at >= REPORT_EVERY:
            count, self._count, self._reported_at = self._count, 0, now
            self._report(count)
