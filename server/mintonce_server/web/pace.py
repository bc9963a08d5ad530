"""So many answers at each turn of the event loop: hundreds of busy connections leave turns to all else."""

import asyncio
from collections import deque
from typing import Final

AT_A_TURN: Final = 16
"""A few milliseconds."""


class Pace:
    """Of one listener."""

    def __init__(self, at_a_turn: int = AT_A_TURN) -> None:
        self._at_a_turn = at_a_turn
        self._left = at_a_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_due = False

    async def step(self) -> None:
        """Wait for a turn with room. Those that came first go first."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)
        if self._left and not self._waiting:
            self._left -= 1
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _turn(self) -> None:
        self._left, self._is_due = self._at_a_turn, False
        while self._waiting and self._left:
            waiting = self._waiting.popleft()
            if not waiting.done():  # its connection may be gone
                waiting.set_result(None)
                self._left -= 1
        if self._waiting:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)
