"""Counts calls that lead to nothing, and ends the connections that make too many of them.

Such a call costs a tenth of a millisecond even when it is refused at once, and callers who are known wait meanwhile.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

from mintonce_server.core.ports import Clock

SECOND: Final = 1.0
WHILE: Final = 10.0
"""Seconds in which a connection may waste MOST_IN_A_WHILE calls."""
MOST_IN_A_WHILE: Final = 1000
FEW: Final = 10
"""Wasted calls of one connection in one second that are not held against it, however many others there are."""
MOST_PEERS: Final = 20_000
GONE: Final = 2.0
"""Seconds in which calls still come up that a connection made before it was closed."""

Close = Callable[[Collection[str]], Collection[str]]
"""Takes peers; gives back those whose connections it could end."""


class WastedCalls:
    """Of one listener: calls without an identity or a message, to methods that do not exist, and probes.

    A connection is ended when it makes a thousand of them within ten seconds; or, while all connections together make
    more than `most_per_second`, when it has made ten of them within this second. A client that opens
    a new one can make a few calls again, so those with a mistake of their own still learn what is wrong.
    """

    def __init__(self, most_per_second: int, clock: Clock, close: Close) -> None:
        self._most_per_second = most_per_second
        self._clock = clock
        self._close = close
        self._in_second: Counter[str] = Counter()
        self._in_while: Counter[str] = Counter()
        self._second_ends = self._while_ends = 0.0
        self._total = 0
        self._gone: dict[str, float] = {}

    def is_gone(self, peer: str) -> bool:
        """Whether the peer's connection was closed a moment ago: an answer would reach no one."""
        return bool(self._gone) and self._gone.get(peer, 0.0) > self._clock.monotonic()

    def note(self, peer: str) -> None:
        """One more, by this peer as gRPC names it."""
        now = self._clock.monotonic()
        self._begin_windows(now)
        self._total += 1
        self._in_second[peer] += 1
        self._in_while[peer] += 1
        if self._is_too_much(peer):
            guilty = {peer for peer in self._in_second.keys() | self._in_while.keys() if self._is_too_much(peer)}
            for peer in guilty:
                self._in_second.pop(peer, None)
                self._in_while.pop(peer, None)
            self._gone = {peer: until for peer, until in self._gone.items() if until > now}
            self._gone.update(dict.fromkeys(self._close(guilty), now + GONE))

    def _begin_windows(self, now: float) -> None:
        if now >= self._second_ends or len(self._in_second) > MOST_PEERS:
            self._second_ends, self._total = now + SECOND, 0
            self._in_second.clear()
        if now >= self._while_ends or len(self._in_while) > MOST_PEERS:
            self._while_ends = now + WHILE
            self._in_while.clear()

    def _is_too_much(self, peer: str) -> bool:
        if self._in_while[peer] >= MOST_IN_A_WHILE:
            return True
        return self._total > self._most_per_second and self._in_second[peer] >= FEW
