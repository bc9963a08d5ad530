"""[clients.NAME.budget]: a table within a table, in the file and in variables, with errors that name it."""

from pathlib import Path

import pytest

from mintonce_server.config import effective, load, load_explained
from mintonce_server.core.budget import Budget
from support.settings import COMPLETE, issues_of


def config(directory: Path, budget: str) -> Path:
    file = directory / "mintonce.toml"
    file.touch(mode=0o600)
    file.write_text(f"{COMPLETE}\n[clients.billing.budget]\n{budget}\n")
    return file


def test_a_budget_comes_from_the_file_and_variables_win(tmp_path: Path) -> None:
    """As any setting."""
    file = config(tmp_path, 'tokens_per_month = 50_000\nwarn_at = 0.5\nprice_per_token = 0.01\ncurrency = "EUR"')
    variables = {
        "MINTONCE_CLIENTS__BILLING__BUDGET__TOKENS_PER_DAY": "70",
        "MINTONCE_CLIENTS__BILLING__BUDGET__WARN_AT": "0.9",
        "MINTONCE_CLIENTS__BILLING__BUDGET__WHEN_USED_UP": "needed_only",
    }
    settings, origins = load_explained(file, variables)
    assert settings.budgets == {"billing": Budget(50_000, 70, 0.9, True, 0.01, "EUR")}
    shown = "\n".join(effective(settings, origins))
    assert "[clients.billing.budget]\ntokens_per_month = 50000" in shown
    assert "# variable MINTONCE_CLIENTS__BILLING__BUDGET__WARN_AT" in shown


def test_without_a_table_there_is_no_budget(tmp_path: Path) -> None:
    """Tokens are counted all the same."""
    file = config(tmp_path, "")
    assert load(file, {}).budgets == {"billing": Budget()}
    file.write_text(COMPLETE)
    assert load(file, {}).budgets == {}


@pytest.mark.parametrize(
    ("budget", "where", "what", "remedy"),
    [
        ("tokens_per_mont = 1", "tokens_per_mont", "is not a setting", "tokens_per_month"),
        ("tokens_per_month = -1", "tokens_per_month", "greater than or equal to 0", "Tokens in a month"),
        ("warn_at = 80", "warn_at", "less than or equal to 1", "Share"),
        ('when_used_up = "refuse"', "when_used_up", "'warn' or 'needed_only'", "never refused"),
        ('when_used_up = "needed_only"', "when_used_up", "has no effect", "tokens_per_month"),
        ("price_per_token = 1.0", "currency", "is missing", "both"),
        ('currency = "EUR"', "price_per_token", "is missing", "both"),
        ("price_per_token = inf\ncurrency = 'EUR'", "price_per_token", "finite", "Price"),
    ],
)
def test_a_fault_is_named_by_its_place(tmp_path: Path, budget: str, where: str, what: str, remedy: str) -> None:
    """With what to do."""
    file = config(tmp_path, budget)
    (issue,) = issues_of(file, {})
    assert issue.where.endswith(f"clients.billing.budget.{where}")
    assert what in issue.what
    assert remedy in issue.remedy
