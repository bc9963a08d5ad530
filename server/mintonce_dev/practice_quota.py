"""The token quota of a practice issuer, with the header of Auth0."""

import threading
from typing import Final

HEADER: Final = "Auth0-Client-Quota-Limit"
HOUR: Final = 3600


class PracticeQuota:
    """So many tokens for each client in an hour, counted from 1970. Thread-safe.

    Attributes:
        enforced: refuse what is above it. Otherwise it is only named, as with Auth0's `enforce: false`.
    """

    def __init__(self, per_hour: int, *, enforced: bool = True) -> None:
        self.per_hour = per_hour
        self.enforced = enforced
        self._lock = threading.Lock()
        self._hour = 0
        self._used: dict[str, int] = {}

    def take(self, client_id: str, now: float) -> tuple[bool, dict[str, str]]:
        """Whether the client gets a token, and the header that says what is left."""
        hour, since = divmod(int(now), HOUR)
        with self._lock:
            if hour != self._hour:
                self._hour, self._used = hour, {}
            used = self._used.get(client_id, 0)
            granted = used < self.per_hour or not self.enforced
            if granted:
                self._used[client_id] = used = used + 1
        left = max(0, self.per_hour - used)
        return granted, {HEADER: f"b=per_hour;q={self.per_hour};r={left};t={HOUR - since}"}
