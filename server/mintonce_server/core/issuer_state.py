"""What is known of an issuer, and whether a POST to it may begin. Pure; all times are whole ms of one clock."""

from dataclasses import dataclass
from typing import Final

from mintonce_server.core.backoff import LONGEST_ASKED
from mintonce_server.core.ports import Admitted, Backoff, Failure, Wait

FRESH_MS: Final = 5_000
"""A success counts for so long: then POSTs begin as they come."""
ALONE_MS: Final = 1_000
"""A POST that goes alone keeps the others back for so long."""
PAUSE_MAX_MS: Final = int(LONGEST_ASKED * 1000)


@dataclass(slots=True)
class IssuerState:
    """Rate limits and outages are the issuer's: what one key learns holds for all.

    Trouble begins with two failures in a row, because one may be a key's own.
    """

    ok_at: int = -FRESH_MS
    bad: int = 0
    until: int = 0
    failure: Failure | None = None
    alone: str = ""
    alone_until: int = 0
    told: str = ""

    def enter(self, nonce: str, now: int) -> Admitted | Wait | Backoff:
        """Whether a POST may begin now."""
        if self.failure is not None and 0 < self.until - now <= PAUSE_MAX_MS:
            return Backoff(self.failure, (self.until - now) / 1000)
        if not self.bad and self.ok_at <= now < self.ok_at + FRESH_MS:
            return Admitted(nonce, now, 0)
        left = self.alone_until - now
        if self.alone not in ("", nonce) and 0 < left <= ALONE_MS:
            return Wait(left / 1000)
        self.alone, self.alone_until = nonce, now + ALONE_MS
        return Admitted(nonce, now, self.bad)

    def learn(self, admitted: Admitted, failure: Failure | None, pause: int, now: int) -> bool:
        """What came of it. True: the trouble is the issuer's, and all of its keys wait for the pause (ms)."""
        if failure is None:
            self.ok_at, self.bad, self.failure, self.alone = now, 0, None, ""
            return False
        if self.alone == admitted.nonce:
            self.alone = ""
        if self.ok_at > admitted.began:
            return False  # another key got a token meanwhile
        if self.told != admitted.nonce:  # else the reply was lost
            self.told, self.bad = admitted.nonce, self.bad + 1
        if self.bad >= 2:
            self.until, self.failure = now + pause, failure
        return self.bad >= 2
