"""Settings from a TOML file, and how the environment changes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.config import load
from mintonce_server.core.secret import Secret
from support.settings import COMPLETE, issues_of

WriteConfig = Callable[[str], Path]


def test_tables_register_issuers_and_clients(write_config: WriteConfig) -> None:
    """Each [issuers.NAME] and [clients.NAME] is one."""
    settings = load(write_config(COMPLETE), {})

    assert settings.clients["billing"].issuer == "acme"
    assert settings.issuers["acme"].token_url == "https://login.example.com/oauth/token"


def test_a_variable_names_the_file(write_config: WriteConfig) -> None:
    """MINTONCE_CONFIG does what --config does."""
    assert load(None, {"MINTONCE_CONFIG": str(write_config(COMPLETE))}) == load(write_config(COMPLETE), {})


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(write_config: WriteConfig) -> None:
    """An operator can change one setting of one replica without a second file."""
    config = write_config('[log]\nlevel = "warning"\nformat = "console"' + COMPLETE)

    settings = load(config, {"MINTONCE_LOG_LEVEL": "DEBUG", "MINTONCE_CLIENTS__BILLING__CLIENT_ID": "other"})

    assert (settings.log.level, settings.log.format, settings.reflection) == ("debug", "console", False)
    assert settings.clients["billing"].client_id == "other"
    assert settings.clients["billing"].client_secret == Secret("billing-secret")


def test_a_secret_in_the_environment_replaces_the_file_s_in_either_form(write_config: WriteConfig) -> None:
    """A secret given by variable wins over the client_secret_files of the config file, which is then not even read."""
    config = write_config(COMPLETE.replace('client_secret = "billing-secret"', 'client_secret_files = ["absent"]'))

    settings = load(config, {"MINTONCE_CLIENTS__BILLING__CLIENT_SECRET": "from-environment"})

    assert settings.clients["billing"].client_secret == Secret("from-environment")


def test_a_variable_reaches_names_that_variables_cannot_spell(write_config: WriteConfig) -> None:
    """ORDERS_API stands for orders-api: shells take no hyphen in a name."""
    config = write_config(COMPLETE.replace("clients.billing", 'clients."Orders-api"'))

    settings = load(config, {"MINTONCE_CLIENTS__ORDERS_API__CLIENT_ID": "other"})

    assert {name: client.client_id for name, client in settings.clients.items()} == {"Orders-api": "other"}


def test_files_in_a_config_file_count_from_its_folder(write_config: WriteConfig, tmp_path: Path) -> None:
    """A folder with a config file and its secrets can be moved."""
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "secret").write_text("beside\r\n")

    config = write_config(COMPLETE.replace('client_secret = "billing-secret"', 'client_secret_files = ["secret"]'))

    assert load(config, {}).clients["billing"].client_secret == Secret("beside")


@pytest.mark.parametrize(
    ("written", "seconds"), [("7", 7.0), ("0.5", 0.5), ('"250ms"', 0.25), ('"5m"', 300.0), ('"1h"', 3600.0)]
)
def test_durations_are_seconds_or_texts(write_config: WriteConfig, written: str, seconds: float) -> None:
    """A number means seconds; a text says its unit."""
    assert load(write_config(f"drain_timeout = {written}" + COMPLETE), {}).drain_timeout == seconds


@pytest.mark.parametrize("written", ["-1", '"3 parsecs"', "true", "nan", "inf", '"99999h"', "[1]"])
def test_what_is_no_duration_is_a_fault(write_config: WriteConfig, written: str) -> None:
    """Neither negative, nor endless, nor a mere word."""
    (fault,) = issues_of(write_config(f"drain_timeout = {written}" + COMPLETE), {})

    assert fault.where.endswith("mintonce.toml: drain_timeout")


@pytest.mark.parametrize("text", ["listen = ", "\0", "[redis\n", "a = 1\na = 2", "[" * 5000])
def test_a_file_that_is_not_toml_is_one_fault(write_config: WriteConfig, text: str) -> None:
    """What would be missing without the file is not told on top."""
    (fault,) = issues_of(write_config(text), {})

    assert "mintonce.toml" in fault.where


def test_an_absent_file_is_a_fault(tmp_path: Path) -> None:
    """A config file that was named must be there."""
    (fault,) = issues_of(tmp_path / "absent.toml", {})

    assert "No such file" in fault.what


def test_an_absent_file_hides_no_fault_of_the_environment(tmp_path: Path) -> None:
    """Only what would be missing is not told: it may stand in the file."""
    environ = {"MINTONCE_REDSI_URL": "x", "MINTONCE_CLIENT_SECRET_FILES": str(tmp_path / "absent")}

    faults = issues_of(tmp_path / "absent.toml", environ)

    assert {fault.where.removeprefix("variable ") for fault in faults} == {str(tmp_path / "absent.toml"), *environ}


def test_tables_of_both_are_merged(write_config: WriteConfig) -> None:
    """A variable adds to `extra` of the config file; what both say, the environment decides."""
    config = write_config(COMPLETE + 'extra = { tenant = "a", region = "eu" }')

    settings = load(config, {"MINTONCE_CLIENTS__BILLING__EXTRA__TENANT": "b"})

    assert settings.clients["billing"].extra == {"tenant": "b", "region": "eu"}


def test_a_domain_in_the_environment_replaces_the_token_url_of_the_file(write_config: WriteConfig) -> None:
    """Two settings that say the same thing are one: the environment wins there, too."""
    settings = load(write_config(COMPLETE), {"MINTONCE_ISSUERS__ACME__DOMAIN": "other.example.com"})

    assert settings.issuers["acme"].token_url == "https://other.example.com/oauth/token"
    assert settings.issuers["acme"].request == "json"


def test_names_are_spelled_as_they_are(write_config: WriteConfig) -> None:
    """In a file `LISTEN` is not `listen`: TOML tells them apart."""
    (fault,) = issues_of(write_config('LISTEN = "127.0.0.1:1"' + COMPLETE), {})

    assert fault.where.endswith("mintonce.toml: LISTEN")


def test_a_byte_order_mark_is_ignored(write_config: WriteConfig) -> None:
    """Editors of Windows write one, and show it to nobody."""
    assert load(write_config("\ufeff" + COMPLETE), {}) == load(write_config(COMPLETE), {})


def test_a_number_that_is_too_long_is_called_so(write_config: WriteConfig) -> None:
    """Python converts no number of thousands of digits."""
    (fault,) = (each for each in issues_of(write_config("x = " + "9" * 5000), {}) if each.where.endswith(".toml"))

    assert fault.what == "the file contains a number that is too long"


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ('reflection = "maybe"', "is neither true nor false", "Write true or false. "),
        ("reflection = [1]", "is neither true nor false", "Write true or false. "),
        ("socket_mode = 600", "is not a string", "Write it in quotes. "),
    ],
)
def test_a_value_of_another_type_is_a_fault(write_config: WriteConfig, text: str, what: str, remedy: str) -> None:
    """The remedy says how to write it."""
    (fault,) = issues_of(write_config(text + COMPLETE), {})

    assert fault.what == what
    assert fault.remedy.startswith(remedy)
