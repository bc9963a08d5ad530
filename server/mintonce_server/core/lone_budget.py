"""How many mints a replica makes without the store's lease, and which part of them one caller may cause."""

from typing import Final

from mintonce_server.core.bucket import Bucket
from mintonce_server.core.caller import ANONYMOUS

BURST: Final = 20
PER_SECOND: Final = 1.0
"""For all keys of this replica together: 20 at once, then one a second."""

_NAMELESS: Final = frozenset({"", ANONYMOUS.name})


class LoneBudget:
    """A caller takes one only while it has taken less of late than is left for the others.

    So one alone has half at once and then all that comes, and never keeps out another that asks for little. Callers
    without a name are one: nothing is kept back from them.
    """

    def __init__(self, now: float) -> None:
        self._all = Bucket(PER_SECOND, BURST, now)
        self._taken: dict[str, float] = {}
        """By each caller, less what came again since. Whoever is back at zero is forgotten, so there are few."""
        self._at = now

    def take(self, caller: str, now: float) -> bool:
        """Whether there was one."""
        self._all.fill(now)
        again, self._at = max(0.0, now - self._at) * PER_SECOND, now
        self._taken = {name: left for name, taken in self._taken.items() if (left := taken - again) > 0.0}
        taken = self._taken.get(caller, 0.0)
        if caller not in _NAMELESS and taken + 1.0 > self._all.left:
            return False
        if self._all.take(now) > 0.0:
            return False
        self._taken[caller] = taken + 1.0
        return True
