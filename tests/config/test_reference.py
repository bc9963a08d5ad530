"""The settings reference is made from the settings."""

import pytest

from mintonce_server.cli.main import main
from mintonce_server.config import BudgetSettings, ClientSettings, reference, reference_table


def test_every_setting_has_type_and_meaning() -> None:
    """Nothing is undocumented, and the meaning is a sentence."""
    for row in reference():
        assert row.type, row
        assert row.meaning.endswith("."), row


def test_names_and_defaults_are_those_of_the_models() -> None:
    """A row is written as in TOML."""
    rows = {row.name: row for row in reference()}

    assert rows["listen"].default == '"127.0.0.1:50051"'
    assert rows["redis.timeout"][1:3] == ("duration", '"250ms"')
    assert rows["clients.NAME.audiences"][1:3] == ("list of strings", '["*"]')
    of_clients = {name.removeprefix("clients.NAME.") for name in rows if name.startswith("clients.")}
    assert of_clients == {*ClientSettings.model_fields, *(f"budget.{name}" for name in BudgetSettings.model_fields)}


def test_the_table_is_markdown() -> None:
    """One line a setting, four cells a line."""
    lines = reference_table().splitlines()

    assert len(lines) == len(reference()) + 2
    assert all(line.count("|") == 5 for line in lines)


def test_mintonced_settings_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/reference/settings.md shows the same; `make lint` compares."""
    assert main(["settings"]) == 0

    assert capsys.readouterr().out.strip() == reference_table().strip()
