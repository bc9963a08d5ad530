"""Bounds log lines that callers cause: some at once and then one a second, for each kind."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from mintonce_server.core.limits import Bucket
from mintonce_server.core.ports import Clock

PER_SECOND: Final = 1.0
AT_ONCE: Final = 20
MOST_KINDS: Final = 1000
REMIND_EVERY: Final = 60.0
"""Seconds."""


class Quiet:
    """`more` says how many lines of a kind were left out, so that the next one can tell."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def more(self, kind: Hashable) -> int | None:
        """None: leave this line out. Else how many were left out since the last one."""
        now = self._clock.monotonic()
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.popitem(last=False)  # the one whose last line is the oldest
            known = self._kinds[kind] = _Kind(now)
        if known.bucket.take(now) > 0:
            known.left_out += 1
            return None
        self._kinds.move_to_end(kind)
        left_out, known.left_out = known.left_out, 0
        return left_out


class Reminder:
    """For a trouble that lasts: said when it begins or changes, and again each minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._what = ""
        self._next = 0.0

    def is_due(self, what: str) -> bool:
        """Whether to say this now."""
        now = self._clock.monotonic()
        if what == self._what and now < self._next:
            return False
        self._what, self._next = what, now + REMIND_EVERY
        return True

    def over(self) -> None:
        """The trouble has ended: the next one is said at once."""
        self._what = ""


class _Kind:
    __slots__ = ("bucket", "left_out")

    def __init__(self, now: float) -> None:
        self.bucket = Bucket(PER_SECOND, AT_ONCE, now)
        self.left_out = 0
