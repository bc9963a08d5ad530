"""Wakes the one flight a key may have in this process."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class Bell:
    """Rung by wake-ups from the store; heard by a flight that waits for somebody else's mint."""

    def __init__(self) -> None:
        self._listeners: dict[str, asyncio.Event] = {}

    def ring(self, key_hash: str) -> None:
        if listener := self._listeners.get(key_hash):
            listener.set()

    def ring_all(self) -> None:
        for listener in self._listeners.values():
            listener.set()

    @contextmanager
    def listen(self, key_hash: str) -> Generator[asyncio.Event]:
        """Listen before asking the store: a ring between the question and the wait is then not lost."""
        listener = self._listeners[key_hash] = asyncio.Event()
        try:
            yield listener
        finally:
            del self._listeners[key_hash]
