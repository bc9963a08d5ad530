"""Unexpected exceptions: logged with their traceback, at a bounded rate, and counted."""

import asyncio
from collections import Counter
from typing import Any, Final

from mintonce_server.core.ports import Clock
from mintonce_server.observability.logs import Logger

LOG_EVERY: Final = 60.0
"""Minimum seconds between two log lines about the same part."""

BURST: Final = 3
"""Faults of one part that are logged before that minimum applies: the second may differ from the first."""


class FaultLog:
    """What failed though it never should. The process goes on; each line asks for a bug report."""

    def __init__(self, clock: Clock, logger: Logger) -> None:
        self._clock = clock
        self._logger = logger
        self.count_of: Counter[str] = Counter()
        """Faults of each part since the start."""
        self._logged_at: dict[str, float] = {}

    def __call__(self, where: str, error: BaseException, detail: str = "") -> None:
        """`where` names a part of this program: there are few. `detail`: our own text, never a peer's."""
        self.count_of[where] += 1
        count, now = self.count_of[where], self._clock.monotonic()
        if count > BURST and now - self._logged_at[where] < LOG_EVERY:
            return
        self._logged_at[where] = now
        self._logger.error(
            "unexpected_error", where=where, count=count, detail=detail, exc_info=error, remedy="Please report it."
        )

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Log what asyncio itself finds: exceptions in callbacks, and those of tasks whose owner does not look."""

        def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            message = str(context.get("message", ""))
            self("event loop", context.get("exception") or RuntimeError(message), message)

        loop.set_exception_handler(handle)
