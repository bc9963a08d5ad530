"""Settings of earlier versions: each is an issue that names its successor, in files and in the environment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.config import load, reference
from mintonce_server.config.issues import renamed, variable
from mintonce_server.config.old_names import REMOVED, RENAMED
from support.settings import COMPLETE, issues_of

WriteConfig = Callable[[str], Path]

OLD = sorted((*RENAMED, *REMOVED))
TABLES = {"clients": ("clients", "billing"), "issuers": ("issuers", "acme"), "redis": ("redis",)}


def path_of(old: str) -> tuple[str, ...]:
    """The path of an old setting in COMPLETE."""
    section, _, setting = old.rpartition(".")
    return (*TABLES[section], setting) if section else (setting,)


def in_complete(path: tuple[str, ...]) -> str:
    """COMPLETE with this setting."""
    line = f'{path[-1]} = "1"\n'
    if len(path) == 1:
        return line + COMPLETE
    header = f"[{'.'.join(path[:-1])}]\n"
    return COMPLETE.replace(header, header + line)


def says(old: str, path: tuple[str, ...], new_name: Callable[[tuple[str, ...]], str]) -> str:
    """What the issue must say."""
    return f"renamed to {new_name(renamed(path) or ())}" if old in RENAMED else f"removed: {REMOVED[old]}"


@pytest.mark.parametrize("old", OLD)
def test_an_old_name_in_a_file_is_one_issue(write_config: WriteConfig, old: str) -> None:
    """It names the successor, as TOML writes it."""
    path = path_of(old)

    (issue,) = issues_of(write_config(in_complete(path)), {})

    assert issue.where.endswith(f"mintonce.toml: {'.'.join(path)}")
    assert issue.what == says(old, path, ".".join)


@pytest.mark.parametrize("old", [old for old in OLD if not old.startswith("log_")])
def test_an_old_variable_is_one_issue(write_config: WriteConfig, old: str) -> None:
    """It names the successor, as a variable."""
    path = path_of(old)

    (issue,) = issues_of(write_config(COMPLETE), {variable(path): "1"})

    assert issue.where == f"variable {variable(path)}"
    assert issue.what == says(old, path, variable)


def test_the_log_has_short_variables(smallest: dict[str, str]) -> None:
    """They are what the old settings had."""
    settings = load(None, {**smallest, "MINTONCE_LOG_LEVEL": "error", "MINTONCE_LOG_FORMAT": "console"})

    assert (settings.log.level, settings.log.format) == ("error", "console")


def test_the_old_short_variable_of_a_secret_is_one_issue(smallest: dict[str, str]) -> None:
    """The secret is not reported as missing too."""
    del smallest["MINTONCE_CLIENT_SECRET"]

    (issue,) = issues_of(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILE": "/run/secrets/client"})

    assert (issue.where, issue.what) == (
        "variable MINTONCE_CLIENT_SECRET_FILE",
        "renamed to MINTONCE_CLIENT_SECRET_FILES",
    )


def test_an_old_secret_file_is_one_issue(write_config: WriteConfig) -> None:
    """The secret is not reported as missing too."""
    config = write_config(COMPLETE.replace('client_secret = "billing-secret"', 'client_secret_file = "secret"'))

    (issue,) = issues_of(config, {})

    assert issue.what == "renamed to clients.billing.client_secret_files"


def test_each_successor_is_a_setting() -> None:
    """No issue leads to another one."""
    known = {row.name for row in reference()}
    successors = {
        ".".join("NAME" if step == "billing" else step for step in renamed(path_of(old)) or ()) for old in RENAMED
    }

    assert successors <= known
    assert not known & {".".join(path_of(old)) for old in OLD}
