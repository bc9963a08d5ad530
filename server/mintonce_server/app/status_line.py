"""One line for the service manager: where the service is, and since when its store is away."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.status import StoreView

EVERY: Final = 1.0
"""Seconds between two looks."""

Say = Callable[[str], None]
"""Shows the line, in place of the one before."""


class StatusLine:
    """The owner runs `run`. `store`: as the status page sees it."""

    def __init__(self, store: Callable[[], StoreView], address: str, say: Say, clock: Clock) -> None:
        self._store = store
        self._usual = f"Serving at {address}"
        self._say = say
        self._clock = clock
        self._is_away = False

    async def run(self) -> None:
        """Endless."""
        while True:
            self.look()
            await asyncio.sleep(EVERY)

    def look(self) -> None:
        """Say how the store is, if that has changed."""
        away_for = self._store().away_for
        if self._is_away == (away_for is not None):
            return
        self._is_away = away_for is not None
        if away_for is None:
            self._say(self._usual)
        else:
            since = datetime.fromtimestamp(self._clock.unix() - away_for, UTC)
            self._say(f"{self._usual}; store away since {since:%Y-%m-%d %H:%M:%S} UTC")
