"""Who makes a list of tokens next."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from mintonce_server.core.errors import LimitExceeded

MAX_LISTS_PER_CALLER: Final = 4
"""Lists of one caller at a time: the one under way and those that wait."""


class ListTurns:
    """Turns to make a list: it reads and decrypts every record, which delays other calls."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._of: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, caller: str, deadline: float) -> AsyncGenerator[None]:
        """Make a list inside; no other list is made meanwhile.

        Raises LimitExceeded when the turn does not come within `deadline` seconds, or the caller has too many waiting.
        """
        if self._of[caller] >= MAX_LISTS_PER_CALLER:
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
