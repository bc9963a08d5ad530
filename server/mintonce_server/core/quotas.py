"""How much one caller may use, so that the others keep theirs."""

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from mintonce_server.core.errors import LimitExceeded
from mintonce_server.core.ports import Clock

CALLERS_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class QuotaOptions:
    """For each caller: `…_per_second` in the long run, `…_burst` at once, `max_…` at a time."""

    mints_per_second: float = 20.0
    mint_burst: int = 500
    rejects_per_second: float = 1.0
    reject_burst: int = 20
    max_watches_per_caller: int = 1000
    max_calls_per_caller: int = 2000


class _Bucket:
    """Fills by `rate` a second up to `burst`."""

    __slots__ = ("at", "burst", "left", "rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate, self.burst, self.left, self.at = rate, float(burst), float(burst), now

    def fill(self, now: float) -> None:
        self.left = min(self.burst, self.left + max(0.0, now - self.at) * self.rate)
        self.at = now

    def take(self, now: float) -> float:
        """0 when there was one to take, else the seconds until there is."""
        self.fill(now)
        if self.left < 1.0:
            return (1.0 - self.left) / self.rate
        self.left -= 1.0
        return 0.0


class _Share:
    """What one caller uses."""

    __slots__ = ("calls", "mints", "rejects", "watches")

    def __init__(self, options: QuotaOptions, now: float) -> None:
        self.calls = self.watches = 0
        self.mints = _Bucket(options.mints_per_second, options.mint_burst, now)
        self.rejects = _Bucket(options.rejects_per_second, options.reject_burst, now)

    def is_unused(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        self.mints.fill(now)
        self.rejects.fill(now)
        full = self.mints.left >= self.mints.burst and self.rejects.left >= self.rejects.burst
        return full and not self.calls and not self.watches


class Quotas:
    """The shares of all callers, by name."""

    def __init__(self, options: QuotaOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._shares: OrderedDict[str, _Share] = OrderedDict()

    def take_mint(self, caller: str) -> None:
        """Raises LimitExceeded when the caller causes too many mints."""
        _taken(self._share(caller).mints.take(self._clock.monotonic()), "asks for too many tokens that must be minted")

    def take_reject(self, caller: str) -> None:
        """Raises LimitExceeded when the caller rejects too often."""
        _taken(self._share(caller).rejects.take(self._clock.monotonic()), "rejects too many tokens")

    @contextmanager
    def calling(self, caller: str) -> Generator[None]:
        """Raises LimitExceeded for more calls at a time than the caller may have."""
        share = self._share(caller)
        if share.calls >= self._options.max_calls_per_caller:
            _taken(1.0, "has too many calls under way")
        share.calls += 1
        try:
            yield
        finally:
            share.calls -= 1

    @contextmanager
    def watching(self, caller: str) -> Generator[None]:
        """Raises LimitExceeded for more watches at a time than the caller may have."""
        share = self._share(caller)
        if share.watches >= self._options.max_watches_per_caller:
            _taken(10.0, "has too many watches")
        share.watches += 1
        try:
            yield
        finally:
            share.watches -= 1

    def _share(self, caller: str) -> _Share:
        if share := self._shares.get(caller):
            self._shares.move_to_end(caller)
            return share
        now = self._clock.monotonic()
        if len(self._shares) >= CALLERS_REMEMBERED:
            self._forget_some(now)
        share = self._shares[caller] = _Share(self._options, now)
        return share

    def _forget_some(self, now: float) -> None:
        """The least lately seen, if nothing is lost by it. Callers' names are proven, so nobody invents many."""
        for name in [name for name, share in self._shares.items() if share.is_unused(now)][:1000]:
            del self._shares[name]


def _taken(wait: float, what: str) -> None:
    if wait > 0:
        raise LimitExceeded(
            f"this caller {what}",
            remedy="Slow down; or raise the caller's limits in the server's configuration, if it is meant.",
            retry_after=wait,
        )
