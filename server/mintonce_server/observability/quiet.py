"""Log lines at a bounded rate: those that callers can cause, conditions that last, unexpected exceptions."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Any, Final, Self

from structlog.typing import FilteringBoundLogger

from mintonce_server.common.clock import Clock
from mintonce_server.core.limits import Bucket

PER_SECOND: Final = 1.0
AT_ONCE: Final = 20
MOST_KINDS: Final = 1000
REMIND_EVERY: Final = 60.0
"""Seconds."""
LOG_EVERY: Final = 60.0
"""Minimum seconds between two lines about unexpected exceptions of one part."""

BURST: Final = 3
"""Exceptions of one part that are logged before that minimum applies: the second may differ from the first."""


class Quiet:
    """For each kind of line: a burst, then one per second. The next line can say how many were left out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def more(self, kind: Hashable) -> int | None:
        """None: leave this line out. Otherwise how many were left out since the last one."""
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
    """For a condition that lasts: logged when it begins or changes, and again each minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._what = ""
        self._next = 0.0

    def is_due(self, what: str) -> bool:
        """Whether to log this now."""
        now = self._clock.monotonic()
        if what == self._what and now < self._next:
            return False
        self._what, self._next = what, now + REMIND_EVERY
        return True

    def over(self) -> None:
        """The condition has ended: the next one is logged at once."""
        self._what = ""


class _Kind:
    __slots__ = ("bucket", "left_out")

    def __init__(self, now: float) -> None:
        self.bucket = Bucket(PER_SECOND, AT_ONCE, now)
        self.left_out = 0


class FaultLog:
    """Logs unexpected exceptions, at a bounded rate for each part, and counts them."""

    def __init__(self, clock: Clock, logger: FilteringBoundLogger) -> None:
        self._clock = clock
        self._logger = logger
        self.count_of: Counter[str] = Counter()
        """Exceptions of each part since the start."""
        self._logged_at: dict[str, float] = {}

    def __call__(self, where: str, error: BaseException, detail: str = "") -> None:
        """`where`: a part of this program, of which there are few. `detail`: our own text, never a peer's."""
        self.count_of[where] += 1
        count, now = self.count_of[where], self._clock.monotonic()
        if count > BURST and now - self._logged_at[where] < LOG_EVERY:
            return
        self._logged_at[where] = now
        self._logger.error(
            "unexpected_error", where=where, count=count, detail=detail, exc_info=error, remedy="Please report it."
        )

    def watch(self, loop: asyncio.AbstractEventLoop) -> Self:
        """Log what asyncio finds: exceptions in callbacks, and of tasks that are never awaited. Returns itself."""

        def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            message = str(context.get("message", ""))
            self("event loop", context.get("exception") or RuntimeError(message), message)

        loop.set_exception_handler(handle)
        return self
