"""Lists of tokens are made one after the other: each reads and opens every record, and other callers wait meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from mintonce_server.core.errors import LimitExceeded

MOST_OF_CALLER: Final = 4
"""Lists of one caller at a time: the one that is made, and those that wait."""


class Lists:
    """Turns to make a list."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._of: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, caller: str, deadline: float) -> AsyncGenerator[None]:
        """Nobody else makes a list inside. Raises LimitExceeded when the turn does not come within so many seconds."""
        if self._of[caller] >= MOST_OF_CALLER:
            raise _exceeded("this caller asks for too many lists at once", "Ask for one list at a time.")
        self._of[caller] += 1
        try:
            await self._wait(deadline)
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._of[caller] -= 1
            if not self._of[caller]:
                del self._of[caller]

    async def _wait(self, deadline: float) -> None:
        try:
            async with asyncio.timeout(deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise _exceeded("others' lists are made first", "Call again later, with a longer deadline.") from error


def _exceeded(what: str, remedy: str) -> LimitExceeded:
    return LimitExceeded(what, remedy=remedy, retry_after=1.0)
