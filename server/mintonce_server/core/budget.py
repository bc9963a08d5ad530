"""Budgets of tokens: what a client used, where the month leads, and whether waste is refused. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.token import REFRESH_SHARE, REFRESH_WINDOW_MAX, expiry_margin

DAY: Final = 86_400.0
HOUR: Final = 3600.0
DAYS: Final = 31
"""In the longest month."""
RECENT: Final = 7
"""Days whose rate a forecast goes on with."""

_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")

HIGH: Final = 0.9
USED_UP: Final = 1.0

REJECT_INTERVAL: Final = 600.0
"""Seconds between two rejections of one key that count, once the budget is used up."""
WARM_AGAIN: Final = 60.0
"""Seconds at most until a key that is only kept warm is looked at again, while its refresh is refused."""
_LEAD_MARGINS: Final = 1.5

WasteRefused = Callable[[str], float | None]
"""For a client's name: the seconds for which needless mints are refused, or None when they are not."""


def never(_: str) -> None:
    """Used without budgets."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of UTC."""

    year: int
    number: int

    @classmethod
    def at(cls, unix: float) -> Self:
        """The month of a point in time, in seconds since 1970."""
        moment = datetime.fromtimestamp(unix, UTC)
        return cls(moment.year, moment.month)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the form 2026-10. Raises InvalidRequest."""
        found = _MONTH.fullmatch(text)
        month = cls(int(found[1]), int(found[2])) if found else None
        if month is None:
            raise InvalidRequest("month is malformed", remedy="Write it as YEAR-MONTH, such as 2026-10.")
        return month

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def next(self) -> "Month":
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def previous(self) -> "Month":
        return Month(self.year - (self.number == 1), (self.number - 2) % 12 + 1)

    @property
    def starts(self) -> float:
        """Seconds since 1970."""
        return datetime(self.year, self.number, 1, tzinfo=UTC).timestamp()

    @property
    def ends(self) -> float:
        """When the next one starts."""
        return self.next.starts

    @property
    def days(self) -> int:
        return round((self.ends - self.starts) / DAY)

    def day(self, unix: float) -> int:
        """The day of the month, from 1."""
        return min(max(int((unix - self.starts) // DAY), 0), self.days - 1) + 1


@dataclass(frozen=True, slots=True)
class Usage:
    """What the fleet counted for one client in one month.

    Attributes:
        minted: tokens by cause, see events.Cause.
        failed: POSTs without a token, by reason.
        served: tokens that were sent to callers.
        days: tokens minted on each day of the month, from the first.
    """

    minted: Mapping[str, int] = field(default_factory=dict[str, int])
    failed: Mapping[str, int] = field(default_factory=dict[str, int])
    served: int = 0
    days: tuple[int, ...] = (0,) * DAYS

    @property
    def mints(self) -> int:
        """Tokens minted."""
        return sum(self.minted.values())

    @property
    def saved(self) -> int:
        """Tokens that were sent without a POST."""
        return max(0, self.served - self.mints)

    def on(self, day: int) -> int:
        """Tokens minted on a day of the month, from 1."""
        return self.days[day - 1] if 0 < day <= len(self.days) else 0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a client may use.

    Attributes:
        per_month, per_day: tokens; None: not limited.
        warn_at: the share from which on it is said, above 0 and at most 1.
        needed_only: needless mints are refused when it is used up.
        price: of one token; None: unknown.
        currency: of the price.
    """

    per_month: int | None = None
    per_day: int | None = None
    warn_at: float = 0.8
    needed_only: bool = False
    price: float | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """One limit of a budget, and how much of it is used.

    Attributes:
        name: "month" or "day".
        resets_in: seconds.
        level: the highest share of `levels` that is reached; 0 for none.
    """

    name: str
    limit: int
    used: int
    resets_in: float
    level: float

    @property
    def share(self) -> float:
        """Used of the limit."""
        return self.used / self.limit if self.limit else USED_UP

    @property
    def is_used_up(self) -> bool:
        return self.level >= USED_UP


@dataclass(frozen=True, slots=True)
class Forecast:
    """Tokens by the end of the month: at the mean, the least and the most of the recent days."""

    expected: int
    least: int
    most: int


def levels(warn_at: float) -> tuple[float, ...]:
    """The shares of a budget at which something is said."""
    return tuple(sorted({warn_at, max(warn_at, HIGH), USED_UP}))


def windows(budget: Budget, usage: Usage, now_unix: float) -> tuple[Window, ...]:
    """Each limit of a budget, for usage of the month of `now_unix`."""
    month = Month.at(now_unix)
    today = month.day(now_unix)
    limits = (
        ("month", budget.per_month, usage.mints, month.ends - now_unix),
        ("day", budget.per_day, usage.on(today), month.starts + today * DAY - now_unix),
    )
    found: list[Window] = []
    for name, limit, used, left in limits:
        if limit is not None:
            reached = [share for share in levels(budget.warn_at) if used >= share * limit]
            found.append(Window(name, limit, used, max(0.0, left), max(reached, default=0.0)))
    return tuple(found)


def waste_refused_for(budget: Budget, usage: Usage, now_unix: float) -> float | None:
    """Seconds for which needless mints are refused. None: they are not."""
    if not budget.needed_only:
        return None
    return max((window.resets_in for window in windows(budget, usage, now_unix) if window.is_used_up), default=None)


def forecast(usage: Usage, before: Usage, now_unix: float) -> Forecast | None:
    """Where the month of `now_unix` leads: used so far, and the rate of the last seven days for the time that is left.

    Those are complete days. Days before the first one with a mint do not count: there was no traffic yet. When there
    is no complete day, today's rate counts. None: nothing was minted in either month.

    Args:
        usage, before: of this month, and of the previous one.
    """
    month = Month.at(now_unix)
    today = month.day(now_unix)
    past = [*before.days[: month.previous.days], *usage.days[: today - 1]]
    first = next((at for at, count in enumerate(past) if count), len(past))
    recent: list[float] = [float(count) for count in past[first:][-RECENT:]]
    if not recent:
        if not usage.on(today):
            return None
        elapsed = now_unix - month.starts - (today - 1) * DAY
        recent = [usage.on(today) * DAY / min(max(elapsed, HOUR), DAY)]
    days_left = max(0.0, month.ends - now_unix) / DAY

    def by_then(rate: float) -> int:
        return usage.mints + round(rate * days_left)

    return Forecast(by_then(sum(recent) / len(recent)), by_then(min(recent)), by_then(max(recent)))


def needed(lifetimes: Iterable[float], seconds: float) -> int:
    """Tokens that keys with these lifetimes need in so many seconds if each is refreshed once, and in time."""
    each = (max(1.0, lifetime - min(REFRESH_WINDOW_MAX, REFRESH_SHARE * lifetime)) for lifetime in lifetimes)
    return round(sum(seconds / one for one in each))


def cost(budget: Budget | None, tokens: int) -> str:
    """What tokens cost, with two decimals; "" without a price."""
    return "" if budget is None or budget.price is None else f"{tokens * budget.price:.2f}"


def last_refresh_at(expires_at: float, lifetime: float) -> float:
    """When a token is refreshed at the latest, so that no caller waits for its successor."""
    return expires_at - _LEAD_MARGINS * expiry_margin(lifetime)
