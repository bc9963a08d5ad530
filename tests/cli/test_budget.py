"""`mintonced budget`: what people read, what programs read, and the exit code. tests/e2e/test_budget.py runs it."""

import json

import pytest

from mintonce_server.app import Spent
from mintonce_server.cli.budget import FINE, USED_UP, WARNED, as_json, as_text, exit_code
from mintonce_server.cli.main import main
from mintonce_server.core.budget import Budget, Month, Usage
from mintonce_server.core.usage import usage_in

NOVEMBER = Month(2026, 11)
NOON = NOVEMBER.starts + 14.5 * 86_400.0


def spent(minted: int, budget: Budget | None, month: Month = NOVEMBER) -> Spent:
    usage = Usage({"refresh": minted}, {"ISSUER_THROTTLED": 2}, 1_000_000, (minted, *([0] * 30)))
    return Spent(usage_in("billing", month, usage, Usage(), budget, NOON), 4_800)


@pytest.mark.parametrize(
    ("minted", "budget", "code"),
    [
        (10**6, None, FINE),
        (79, Budget(per_month=100), FINE),
        (80, Budget(per_month=100), WARNED),
        (100, Budget(per_month=100), USED_UP),
    ],
)
def test_the_exit_code_is_for_scripts(minted: int, budget: Budget | None, code: int) -> None:
    """Without a budget nothing is too much."""
    assert exit_code(spent(minted, budget)) == code
    assert (FINE, WARNED, USED_UP) == (0, 3, 4)


def test_people_read_numbers_with_what_they_are_of() -> None:
    """Money only with a price."""
    lines = list(as_text(spent(4_321, Budget(per_month=5_000, price=0.0008, currency="EUR"))))
    assert lines[0] == "billing in 2026-11"
    assert "  minted    4,321 (refresh 4,321)" in lines
    assert "  saved     995,679 (served without a request to the issuer)" in lines
    assert "  budget    4,321 of 5,000 in the month (86%)" in lines
    assert lines[-1] == "  cost      3.46 EUR"
    assert not [line for line in as_text(spent(1, None)) if "budget" in line or "cost" in line]


def test_programs_read_the_same() -> None:
    """What is not known is null: another month has no forecast."""
    found = json.loads(json.dumps(as_json(spent(80, Budget(per_month=100)))))
    assert found["budget"] == [{"window": "month", "limit": 100, "used": 80, "level": 0.8}]
    assert found["forecast"]["expected"] >= 80
    assert (found["cost"], found["currency"]) == (None, None)
    assert as_json(spent(80, None, Month(2026, 10)))["forecast"] is None


def test_a_malformed_month_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked."""
    assert main(["budget", "--month", "October"]) == 1
    assert "2026-10" in capsys.readouterr().err
