"""Opens records, and sounds the alarm when one does not open."""

from collections.abc import Callable
from typing import Final

from mintonce_server.core.ports import Clock
from mintonce_server.store.sealing import Sealer, Unopened

PAUSE: Final = 60.0
"""Seconds between two alarms about the same key."""
REMEMBERED: Final = 10_000

Alarm = Callable[[str, str], None]
"""Told the key's name in the store, and what is wrong."""


class Opening:
    """What a reader of records needs."""

    def __init__(self, sealer: Sealer, alarm: Alarm, clock: Clock) -> None:
        self._sealer = sealer
        self._alarm = alarm
        self._clock = clock
        self._told: dict[str, float] = {}

    def __call__(self, sealed: bytes, key_hash: str, generation: int) -> bytes | None:
        """The payload, or None with an alarm: for the reader there is no record then.

        It mints one of its own, and serves that while it lives: replicas whose keys differ make a token each, no more.
        """
        try:
            return self._sealer.open(sealed, key_hash, generation)
        except Unopened as error:
            self.alarm(key_hash, f"a record does not open: {error}")
            return None

    def alarm(self, key_hash: str, why: str) -> None:
        """Sound the alarm, once in PAUSE for each key."""
        now = self._clock.monotonic()
        if now - self._told.get(key_hash, -PAUSE) < PAUSE:
            return
        if len(self._told) >= REMEMBERED:
            self._told = {name: at for name, at in self._told.items() if now - at < PAUSE}
        self._told[key_hash] = now
        self._alarm(key_hash, why)
