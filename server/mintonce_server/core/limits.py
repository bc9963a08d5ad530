"""How much one caller may use, so that the others keep theirs."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from mintonce_server.common.clock import Clock
from mintonce_server.core.caller import ANONYMOUS
from mintonce_server.core.errors import LimitExceeded

T = TypeVar("T", bound=Hashable)

CALLERS_REMEMBERED: Final = 10_000
"""Beyond it, callers that use nothing are dropped. The others are few: they have running calls, or had some within the
time in which a bucket fills."""
LOOKED_AT: Final = 16
"""Callers that are checked when one more comes: a flood of callers must not make each call search them all."""


@dataclass(frozen=True, slots=True)
class QuotaOptions:
    """For each caller: `…_per_second` in the long run, `…_burst` at once, `max_…` at a time."""

    mints_per_second: float
    mint_burst: int
    rejects_per_second: float
    reject_burst: int
    max_watches_per_caller: int
    max_calls_per_caller: int
    anonymous_callers: int
    """When caller authentication is disabled, all callers together have the limits of so many."""

    def together(self) -> "QuotaOptions":
        """The limits of all callers without a name."""
        times = self.anonymous_callers
        return replace(
            self,
            mints_per_second=self.mints_per_second * times,
            mint_burst=self.mint_burst * times,
            rejects_per_second=self.rejects_per_second * times,
            reject_burst=self.reject_burst * times,
            max_watches_per_caller=self.max_watches_per_caller * times,
            max_calls_per_caller=self.max_calls_per_caller * times,
        )


class Seats(AbstractContextManager[None]):
    """So many at a time. One object for all of them, entered once by each: calls are too many to make one for each."""

    __slots__ = ("_exceeded", "_limit", "taken")

    def __init__(self, limit: int, exceeded: Callable[[], LimitExceeded]) -> None:
        self._limit, self._exceeded = limit, exceeded
        self.taken = 0

    def take(self) -> None:
        """Raises LimitExceeded when there is none."""
        if self.taken >= self._limit:
            raise self._exceeded()
        self.taken += 1

    def free(self) -> None:
        """Give one back."""
        self.taken -= 1

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.free()


class _Share:
    """What one caller uses."""

    __slots__ = ("calls", "mints", "rejects", "watches")

    def __init__(self, options: QuotaOptions, now: float) -> None:
        self.calls = Seats(
            options.max_calls_per_caller, lambda: _exceeded(1.0, "has too many calls under way", "calls")
        )
        self.watches = Seats(options.max_watches_per_caller, lambda: _exceeded(10.0, "has too many watches", "watches"))
        self.mints = Bucket(options.mints_per_second, options.mint_burst, now)
        self.rejects = Bucket(options.rejects_per_second, options.reject_burst, now)

    def is_unused(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        self.mints.fill(now)
        self.rejects.fill(now)
        full = self.mints.left >= self.mints.burst and self.rejects.left >= self.rejects.burst
        return full and not self.calls.taken and not self.watches.taken


class Quotas:
    """The shares of all callers, by name."""

    def __init__(self, options: QuotaOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._shares: OrderedDict[str, _Share] = OrderedDict()

    def take_mint(self, caller: str) -> None:
        """Raises LimitExceeded when the caller causes too many mints."""
        wait = self._share(caller).mints.take(self._clock.monotonic())
        _taken(wait, "asks for too many tokens that must be minted", "mints")

    def take_reject(self, caller: str) -> None:
        """Raises LimitExceeded when the caller rejects too often."""
        _taken(self._share(caller).rejects.take(self._clock.monotonic()), "rejects too many tokens", "rejects")

    def calling(self, caller: str) -> Seats:
        """For the caller's calls at a time. Take one at once: a caller that holds none may be dropped."""
        return self._share(caller).calls

    def watching(self, caller: str) -> Seats:
        """For the caller's watches at a time, likewise."""
        return self._share(caller).watches

    def _share(self, caller: str) -> _Share:
        if share := self._shares.get(caller):
            self._shares.move_to_end(caller)
            return share
        now = self._clock.monotonic()
        if len(self._shares) >= CALLERS_REMEMBERED:
            self._forget_some(now)
        options = self._options.together() if caller == ANONYMOUS.name else self._options
        share = self._shares[caller] = _Share(options, now)
        return share

    def _forget_some(self, now: float) -> None:
        """Of the least lately seen, those by whom nothing is lost. The others go to the end, so all have their turn."""
        for _ in range(min(LOOKED_AT, len(self._shares))):
            name, share = self._shares.popitem(last=False)
            if not share.is_unused(now):
                self._shares[name] = share


def _taken(wait: float, what: str, quota: str) -> None:
    if wait > 0:
        raise _exceeded(wait, what, quota)


def _exceeded(retry_after: float, what: str, quota: str) -> LimitExceeded:
    return LimitExceeded(
        f"this caller {what}",
        remedy="Slow down; or raise the caller's limits in the server's configuration, if it is meant.",
        retry_after=retry_after,
        quota=quota,
    )


class Bucket:
    """A token bucket: fills by `rate` a second up to `burst`. Times are seconds of one clock that never goes back."""

    __slots__ = ("at", "burst", "left", "rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate, self.burst, self.left, self.at = rate, float(burst), float(burst), now

    def fill(self, now: float) -> None:
        """Add what has come since the last look."""
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.rate)
        self.at = now

    def take(self, now: float) -> float:
        """0 when there was one to take, else the seconds until there is."""
        self.fill(now)
        if self.left < 1.0:
            return (1.0 - self.left) / self.rate
        self.left -= 1.0
        return 0.0


class Shares(Generic[T]):
    """Each item has one owner. When room is needed, the largest owner gives it, so that small ones lose nothing.

    Attributes:
        all: the items with their owners, in the order in which they came.
    """

    def __init__(self) -> None:
        self.all: OrderedDict[T, str] = OrderedDict()
        self._of: dict[str, OrderedDict[T, None]] = {}
        self._with: dict[int, dict[str, None]] = {}
        """The owners by how many items they have: the largest is found without a search."""
        self._highest = 0

    def add(self, item: T, owner: str) -> None:
        self.all[item] = owner
        held = self._of.get(owner)
        if held is None:
            held = self._of[owner] = OrderedDict()
        held[item] = None
        self._moved(owner, len(held) - 1, len(held))

    def remove(self, item: T) -> None:
        """Does nothing for an item that is not there."""
        owner = self.all.pop(item, None)
        if owner is None:
            return
        held = self._of[owner]
        del held[item]
        self._moved(owner, len(held) + 1, len(held))
        if not held:
            del self._of[owner]

    def count(self, owner: str) -> int:
        return len(self._of.get(owner, ()))

    def of(self, owner: str) -> OrderedDict[T, None]:
        """The owner's items. Raises KeyError for an owner without any."""
        return self._of[owner]

    def largest(self) -> str:
        """The owner with most items; of equal ones the one that has had so many for longest. Raises KeyError."""
        return next(iter(self._with[self._highest]))

    def _moved(self, owner: str, before: int, after: int) -> None:
        if before:
            del self._with[before][owner]
            if not self._with[before]:
                del self._with[before]
        if after:
            self._with.setdefault(after, {})[owner] = None
        self._highest = max(self._highest, after)
        if self._highest and self._highest not in self._with:
            self._highest -= 1  # counts change by one, so the next lower one is taken
