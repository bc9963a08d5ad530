"""One pass over the keys of this replica, for the status page."""

import asyncio
import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Final

from mintonce_server.common.clock import Clock
from mintonce_server.core.cache import Cache, Entry
from mintonce_server.core.key import TokenKey
from mintonce_server.core.status import LIVES, MOST_KEYS, STATES, KeyFailure, KeyFilter, KeyRow, Keys, State

AT_ONCE: Final = 500
"""Keys that are looked at before other tasks get their turn: about a millisecond."""
RECENT: Final = 300.0
"""Seconds for which a failure, a rejection or a question of a caller counts."""
OVERDUE: Final = 10.0
"""Seconds after which a refresh that has not begun is called due."""

_RANKS: Final = {state: rank for rank, state in enumerate(STATES)}


@dataclass(slots=True)
class ClientKeys:
    """The keys of one client."""

    keys: int = 0
    live: int = 0
    watchers: int = 0
    soonest_end_in: float | None = None


@dataclass(slots=True)
class Survey:
    """What the pass found. `clients`: by name."""

    keys: Keys = field(default_factory=Keys)
    clients: dict[str, ClientKeys] = field(default_factory=dict[str, ClientKeys])


MaySee = Callable[[TokenKey], bool]


class KeySurveyor:
    """Looks at the cache, and changes nothing."""

    def __init__(self, cache: Cache, in_flight: Container[TokenKey], clock: Clock) -> None:
        self._cache = cache
        self._in_flight = in_flight
        self._clock = clock

    async def survey(self, failures: Mapping[str, KeyFailure], wanted: KeyFilter, may_see: MaySee) -> Survey:
        """Costs two microseconds a key, in short pieces.

        Args:
            failures: by key hash, what failed last at this replica.
            wanted: chooses the rows. The sums are of all keys that may be seen.
            may_see: whether the reader may know of a key.
        """
        now, found, states = self._clock.monotonic(), Survey(), Counter[State]()
        lives, due, chosen, total = [0] * (len(LIVES) + 1), list[float](), list[tuple[int, float, str, Entry]](), 0
        for count, entry in enumerate(self._cache):
            if count % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if not may_see(entry.key):
                continue
            total += 1
            state = self._state(entry, failures.get(entry.key_hash), now)
            states[state] += 1
            token = entry.live(now)
            _add(found.clients.setdefault(entry.key.client, ClientKeys()), entry, now)
            if token is not None:
                lives[bisect_right(LIVES, token.expires_at - now)] += 1
                if _is_wanted(entry, now):
                    due.append(token.refresh_at - now)
            if wanted.lets(entry.key, entry.key_hash, state):
                chosen.append((_RANKS[state], token.expires_at if token else now, entry.key_hash, entry))
        best = heapq.nsmallest(MOST_KEYS, chosen, key=lambda each: each[:3])
        rows = tuple(self._row(entry, failures.get(entry.key_hash), now) for *_, entry in best)
        refreshes = tuple(heapq.nsmallest(MOST_KEYS, due))
        found.keys = Keys(rows, len(chosen), total, dict(states), tuple(lives), refreshes)
        return found

    def _row(self, entry: Entry, failure: KeyFailure | None, now: float) -> KeyRow:
        token, key = entry.live(now), entry.key
        failed = _counts(failure, entry, now)
        return KeyRow(
            key_hash=entry.key_hash,
            client=key.client,
            audience=key.audience,
            scopes=key.scopes,
            state=self._state(entry, failure, now),
            generation=token.generation if token else 0,
            ends_in=token.expires_at - now if token else None,
            refresh_in=token.refresh_at - now if token and _is_wanted(entry, now) else None,
            watchers=entry.watchers,
            asked_ago=now - entry.asked_at,
            is_wanted=_is_wanted(entry, now),
            retry_in=max(0.0, failed.retry_at - now) if failed and failed.retry_at else None,
            failure=failed.text if failed else "",
        )

    def _state(self, entry: Entry, failure: KeyFailure | None, now: float) -> State:
        token, runs, failed = entry.live(now), entry.key in self._in_flight, _counts(failure, entry, now)
        if token is None:
            if failed is not None and (entry.watchers or now - entry.asked_at < RECENT):
                return State.FAILING
            if runs:
                return State.WAITING
            rejected = entry.token is None and entry.rejected and now - entry.rejected_through_at < RECENT
            return State.REJECTED if rejected else State.IDLE
        if failed is not None:
            return State.BACK_OFF
        if token.provisional or token.reissued or entry.is_gone or self._is_unconfirmed(entry, now):
            return State.DEGRADED
        if runs:
            return State.REFRESHING
        return State.DUE if now - token.refresh_at > OVERDUE and _is_wanted(entry, now) else State.LIVE

    def _is_unconfirmed(self, entry: Entry, now: float) -> bool:
        """Whether the store was asked and did not answer. A key that no caller uses is not asked about."""
        return not self._cache.is_confirmed(entry, now) and self._cache.is_store_away(entry, now)


def _add(sums: ClientKeys, entry: Entry, now: float) -> None:
    sums.keys += 1
    sums.watchers += entry.watchers
    if token := entry.live(now):
        sums.live += 1
        left = token.expires_at - now
        sums.soonest_end_in = left if sums.soonest_end_in is None else min(left, sums.soonest_end_in)


def _is_wanted(entry: Entry, now: float) -> bool:
    """Whether its token is refreshed, see Refresher."""
    warm = entry.ever_held and entry.client.keep_warm
    return bool(entry.watchers) or warm or (entry.asked_again and entry.live(now) is not None)


def _counts(failure: KeyFailure | None, entry: Entry, now: float) -> KeyFailure | None:
    """The failure, if it is recent and no token has come since."""
    if failure is None or now - failure.at > RECENT:
        return None
    token = entry.live(now)
    return None if token is not None and token.minted_at >= failure.at else failure
