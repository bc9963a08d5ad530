"""Budgets: months, windows, forecasts. The arithmetic is that of docs/operating/budget.md."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintonce_server.core.budget import (
    DAY,
    DAYS,
    Budget,
    Forecast,
    Month,
    Usage,
    cost,
    forecast,
    last_refresh_at,
    levels,
    needed,
    waste_refused_for,
    windows,
)
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.core.token import expiry_margin, wanted

NOVEMBER = Month(2026, 11)
MOMENTS = st.floats(946_684_800, 4_102_444_799)  # of the years 2000 to 2099


def used(*days: int, served: int = 0) -> Usage:
    """On the first days of a month."""
    return Usage({"refresh": sum(days)}, {}, served, (*days, *([0] * (DAYS - len(days)))))


def at(day: float, month: Month = NOVEMBER) -> float:
    """A moment of the month: 1.0 is its start."""
    return month.starts + (day - 1.0) * DAY


@given(MOMENTS)
def test_each_moment_is_in_one_month_and_day(unix: float) -> None:
    """As the calendar has it."""
    month, moment = Month.at(unix), datetime.fromtimestamp(unix, UTC)
    assert month.starts <= unix < month.ends
    assert month.day(unix) == moment.day
    assert month.next.previous == month == Month.parse(str(month))
    assert month.next.starts == month.ends


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "26-10", "2026-1", "2026-10-01", "２０２６-10"])
def test_a_malformed_month_is_refused(text: str) -> None:
    """With the form that is meant."""
    with pytest.raises(InvalidRequest) as caught:
        Month.parse(text)
    assert "2026-10" in caught.value.remedy


def test_the_rate_of_the_last_seven_days_goes_on() -> None:
    """The week before today had 10, 20, … 70; half of the 16th and 14 days are left."""
    usage = used(*[100] * 8, 10, 20, 30, 40, 50, 60, 70, 5)
    so_far, left = 800 + 280 + 5, 14.5
    assert forecast(usage, Usage(), at(16.5)) == Forecast(
        so_far + round(40 * left), so_far + round(10 * left), so_far + round(70 * left)
    )


def test_days_of_the_previous_month_count_on_the_first() -> None:
    """Where a month's own rate would say nothing."""
    october = used(*[0] * 29, 6, 8)
    assert forecast(used(1), october, at(1.5)) == Forecast(
        1 + round(7 * 29.5), 1 + round(6 * 29.5), 1 + round(8 * 29.5)
    )


def test_days_before_the_first_mint_do_not_count() -> None:
    """Two days ago it began."""
    assert forecast(used(0, 0, 0, 0, 4, 8, 0), Usage(), at(7.0)) == Forecast(12 + 6 * 24, 12 + 4 * 24, 12 + 8 * 24)


def test_on_the_first_day_of_all_todays_rate_counts() -> None:
    """Of an hour at least."""
    assert forecast(used(6), Usage(), at(1.25)) == Forecast(*[6 + round(24 * 29.75)] * 3)
    assert forecast(used(1), Usage(), at(1.0) + 1.0) == Forecast(*[1 + round(24 * (30 - 1 / DAY))] * 3)


def test_nothing_leads_nowhere() -> None:
    """No forecast is better than zero."""
    assert forecast(Usage(), Usage(), at(3.0)) is None


@given(st.lists(st.integers(0, 10**6), max_size=DAYS), st.lists(st.integers(0, 10**6), max_size=DAYS), MOMENTS)
def test_a_forecast_is_never_below_what_is_used(days: list[int], before: list[int], unix: float) -> None:
    """And its range holds it."""
    usage = used(*days[: Month.at(unix).day(unix)])
    if found := forecast(usage, used(*before), unix):
        assert usage.mints <= found.least <= found.expected <= found.most


def test_levels_are_reached_in_turn() -> None:
    """80, 90 and 100 % by default."""
    assert levels(0.8) == (0.8, 0.9, 1.0)
    assert levels(0.95) == (0.95, 1.0)
    assert levels(1.0) == (1.0,)
    reached = [windows(Budget(per_month=10), used(count), at(1.5))[0].level for count in (7, 8, 9, 10, 11)]
    assert reached == [0.8 * 0, 0.8, 0.9, 1.0, 1.0]


def test_month_and_day_are_windows_of_their_own() -> None:
    """Each with its end."""
    month, day = windows(Budget(per_month=100, per_day=5), used(20, 5), at(2.5))
    assert (month.name, month.used, month.level, month.resets_in) == ("month", 25, 0.0, 28.5 * DAY)
    assert (day.name, day.used, day.is_used_up, day.resets_in) == ("day", 5, True, 0.5 * DAY)


def test_waste_is_refused_until_the_window_ends() -> None:
    """Only where that is asked for, and only when the budget is used up."""
    budget = Budget(per_month=100, per_day=5, needed_only=True)
    assert waste_refused_for(budget, used(4, 4), at(2.5)) is None
    assert waste_refused_for(budget, used(4, 5), at(2.5)) == 0.5 * DAY
    assert waste_refused_for(budget, used(99, 5), at(2.5)) == 28.5 * DAY
    assert waste_refused_for(Budget(per_month=1), used(4, 5), at(2.5)) is None


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0.01, 1.0), MOMENTS)
def test_what_is_used_up_is_not_below_any_level(limit: int, count: int, warn_at: float, unix: float) -> None:
    """A budget of 0 is used up from the start."""
    (window,) = windows(Budget(per_month=limit, warn_at=warn_at), used(count), unix)
    assert window.is_used_up == (count >= limit)
    assert (window.level > 0) == (count >= warn_at * limit)


def test_keys_need_a_token_for_each_life_less_the_refresh_ahead() -> None:
    """A day: 24 h less 15 min. Ten minutes: nine."""
    month = 30 * DAY
    assert needed([86_400.0], month) == round(month / (86_400 - 900))
    assert needed([600.0, 600.0], month) == 2 * 4800
    assert needed([], month) == 0


def test_saved_is_what_was_served_without_a_mint() -> None:
    """Never negative: a restarted fleet may have minted and served nothing yet."""
    assert used(3, served=100).saved == 97
    assert used(3, served=1).saved == 0


def test_money_needs_a_price() -> None:
    """Without one, nothing is said."""
    assert cost(Budget(price=0.0008), 50_000) == "40.00"
    assert cost(Budget(), 50_000) == cost(None, 50_000) == ""


@given(st.floats(1.0, 3e6))
def test_a_late_refresh_is_early_enough_for_callers(lifetime: float) -> None:
    """Before the time from which they would have to wait for it."""
    late = last_refresh_at(lifetime, lifetime)
    assert lifetime - late >= wanted(lifetime, 0.0) == expiry_margin(lifetime)
    assert lifetime - late <= 45.0
