"""Opens records, and sounds the alarm when one does not open."""

from collections.abc import Callable
from typing import Final

from mintonce_server.core.ports import Clock
from mintonce_server.store.sealing import Sealer, Unopened

PAUSE: Final = 30.0
"""Seconds in which a record of one key that cannot be read is minted over once, and told once."""
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
        self._passed: dict[str, float] = {}

    def __call__(self, sealed: bytes, key_hash: str, generation: int) -> bytes | None:
        """The payload, or None with an alarm: for the reader there is no record then."""
        try:
            return self._sealer.open(sealed, key_hash, generation)
        except Unopened as error:
            if self._first(self._told, key_hash):
                self._alarm(key_hash, f"a record does not open: {error}")
            return None

    def may_mint_over(self, key_hash: str) -> bool:
        """Whether to replace a record that cannot be read. Replicas with different keys must not do so in turns."""
        return self._first(self._passed, key_hash)

    def _first(self, seen: dict[str, float], key_hash: str) -> bool:
        """Whether this is the first time in a while."""
        now = self._clock.monotonic()
        if now - seen.get(key_hash, -PAUSE) < PAUSE:
            return False
        if len(seen) >= REMEMBERED:
            for name in [name for name, at in seen.items() if now - at >= PAUSE]:
                del seen[name]
        seen[key_hash] = now
        return True
