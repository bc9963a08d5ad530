"""What is known of an account at an issuer, and whether a POST may begin. Pure; all times are whole ms of one clock."""

from dataclasses import dataclass
from typing import Final

from mintonce_server.core.backoff import LONGEST_ASKED
from mintonce_server.core.ports import Admitted, Backoff, Failure, Wait

FRESH_MS: Final = 5_000
"""A success counts for so long: then POSTs begin as they come."""
ALONE_MS: Final = 1_000
"""A POST that goes alone keeps the others back for so long."""
FIRST_MS: Final = 250
"""After a pause, keys that have not failed may begin so long before those that have: they tell more."""
OWN_MS: Final = 30_000
"""While the last success is no older, a key that failed before it has trouble of its own."""
PAUSE_MAX_MS: Final = int(LONGEST_ASKED * 1000)
MOST_KEYS: Final = 16
"""Keys that are remembered, of either kind."""


@dataclass(slots=True)
class IssuerState:
    """Rate limits and outages are the issuer's: what one key learns holds for all keys of the account.

    Trouble begins with two failures in a row of different keys, because one may be a key's own. A key that fails again
    says nothing new: those that failed wait, and another key may try. A key that failed while others succeeded has
    trouble of its own: while others succeed, it says nothing of the issuer.

    Attributes:
        until: when the pause of all keys ends.
        failed_until: when the pause of those in `failed` ends.
        failed: the keys that failed since the last success.
        own: the keys that had failed before some success of another key, and have not succeeded since.
    """

    ok_at: int = -OWN_MS
    bad: int = 0
    until: int = 0
    failed_until: int = 0
    failure: Failure | None = None
    alone: str = ""
    alone_until: int = 0
    told: str = ""
    failed: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    def enter(self, nonce: str, now: int) -> Admitted | Wait | Backoff:
        """Whether a POST may begin now."""
        has_failed = _key_of(nonce) in self.failed
        until = max(self.until, self.failed_until) if has_failed else self.until
        if self.failure is not None and 0 < until - now <= PAUSE_MAX_MS:
            return Backoff(self.failure, (until - now) / 1000)
        if not self.bad and self.ok_at <= now < self.ok_at + FRESH_MS:
            return Admitted(nonce, now, 0)
        first = until + FIRST_MS - now
        if has_failed and 0 < first <= FIRST_MS:
            return Wait(first / 1000)
        left = self.alone_until - now
        if self.alone not in ("", nonce) and 0 < left <= ALONE_MS:
            return Wait(left / 1000)
        self.alone, self.alone_until = nonce, now + ALONE_MS
        return Admitted(nonce, now, self.bad)

    def learn(self, admitted: Admitted, failure: Failure | None, pause: int, now: int) -> bool:
        """What came of it. True: it may be the issuer's trouble. If another key has it too, all wait (`pause` ms)."""
        key = _key_of(admitted.nonce)
        if failure is None:
            self.own = _without(key, (*self.own, *self.failed))
            self.ok_at, self.bad, self.until, self.failed_until = now, 0, 0, 0
            self.failure, self.alone, self.failed = None, "", ()
            return False
        if self.alone == admitted.nonce:
            self.alone = ""
        if self.ok_at > admitted.began or (key in self.own and self.ok_at <= now < self.ok_at + OWN_MS):
            return False
        if self.told != admitted.nonce:  # else the reply was lost
            self.told, self.bad = admitted.nonce, self.bad + 1
        others = _without(key, self.failed)
        if others:
            self.until = self.until if key in self.failed else now + pause
            self.failed_until, self.failure = now + pause, failure
        self.failed = _without("", (*others, key))
        return self.bad >= 2


def _key_of(nonce: str) -> str:
    """What stands before a dash names the key."""
    return nonce.partition("-")[0]


def _without(key: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    """The newest of them, each once."""
    return tuple(dict.fromkeys(one for one in keys if one != key))[-MOST_KEYS:]
