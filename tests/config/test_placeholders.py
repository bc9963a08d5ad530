"""Settings that name files in the folder where systemd puts a unit's credentials."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.config import load
from mintonce_server.core.secret import Secret
from support.settings import COMPLETE, issues_of

WriteConfig = Callable[[str], Path]
IN_CREDENTIALS = COMPLETE.replace(
    'client_secret = "billing-secret"', 'client_secret_files = ["${CREDENTIALS_DIRECTORY}/client-secret"]'
)


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """As systemd makes it: files that only the service's user can read."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    for name, text in {"client-secret": "from-systemd\n", "redis-url": "redis://127.0.0.1:1/0", "key": "k"}.items():
        (directory / name).touch(mode=0o400)
        (directory / name).chmod(0o600)
        (directory / name).write_text(text)
        (directory / name).chmod(0o400)
    return directory


def test_a_file_among_the_credentials_is_read(write_config: WriteConfig, credentials: Path) -> None:
    """Its folder is not known when the file of settings is written."""
    settings = load(write_config(IN_CREDENTIALS), {"CREDENTIALS_DIRECTORY": str(credentials)})

    assert settings.clients["billing"].client_secret == Secret("from-systemd")
    assert settings.clients["billing"].client_secret_files == (credentials / "client-secret",)


def test_it_works_for_a_single_file_a_table_of_files_and_at_the_top(
    write_config: WriteConfig, credentials: Path
) -> None:
    """Each setting that names files has it."""
    (credentials / "policy.toml").write_text("")
    text = 'policy_file = "${CREDENTIALS_DIRECTORY}/policy.toml"\n' + COMPLETE.replace(
        "[issuers.acme]", '[issuers.acme]\nheader_files = {X-Key = "${CREDENTIALS_DIRECTORY}/key"}'
    )
    settings = load(write_config(text), {"CREDENTIALS_DIRECTORY": f"{credentials}/", **_redis(credentials)})

    assert settings.policy_file == credentials / "policy.toml"
    assert settings.issuers["acme"].header_files == {"X-Key": credentials / "key"}
    assert settings.redis.url == Secret("redis://127.0.0.1:1/0")


def _redis(credentials: Path) -> dict[str, str]:
    return {"MINTONCE_REDIS_URL_FILE": "${CREDENTIALS_DIRECTORY}/redis-url"}


def test_a_variable_may_name_such_files_too(smallest: dict[str, str], credentials: Path) -> None:
    """Environment= of a unit replaces nothing."""
    environ = smallest | {"CREDENTIALS_DIRECTORY": str(credentials)}
    environ["MINTONCE_CLIENT_SECRET_FILES"] = "${CREDENTIALS_DIRECTORY}/client-secret, ${CREDENTIALS_DIRECTORY}/later"
    del environ["MINTONCE_CLIENT_SECRET"]

    assert load(None, environ).clients["default"].client_secret_files == (
        credentials / "client-secret",
        credentials / "later",
    )


@pytest.mark.parametrize("environ", [{}, {"CREDENTIALS_DIRECTORY": ""}, {"CREDENTIALS_DIRECTORY": "relative"}])
def test_without_the_variable_the_fault_says_which_and_who_sets_it(
    write_config: WriteConfig, environ: dict[str, str]
) -> None:
    """As when somebody runs `mintonced check` in a shell. There is one fault only."""
    (fault,) = issues_of(write_config(IN_CREDENTIALS), environ)

    assert fault.where.endswith("mintonce.toml: clients.billing.client_secret_files")
    assert "CREDENTIALS_DIRECTORY is not set" in fault.what
    assert "LoadCredential=" in fault.remedy


@pytest.mark.parametrize(
    "path",
    [
        "${HOME}/policy.toml",
        "/etc/${CREDENTIALS_DIRECTORY}/policy.toml",
        "${CREDENTIALS_DIRECTORY}policy.toml",
        "${CREDENTIALS_DIRECTORY}",
        "${credentials_directory}/policy.toml",
        "${policy.toml",
    ],
)
def test_any_other_placeholder_is_a_fault(write_config: WriteConfig, credentials: Path, path: str) -> None:
    """Instead of a file that is looked for under that very name."""
    (fault,) = issues_of(
        write_config(f'policy_file = "{path}"\n' + COMPLETE), {"CREDENTIALS_DIRECTORY": str(credentials)}
    )

    assert (fault.where.rpartition(": ")[2], fault.what) == (
        "policy_file",
        "contains a placeholder that is not replaced",
    )


def test_what_is_no_file_keeps_its_text(smallest: dict[str, str], credentials: Path) -> None:
    """A secret may contain any character, also of a client whose name ends like a setting of a file."""
    environ = smallest | {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "MINTONCE_CLIENT_SECRET": "${CREDENTIALS_DIRECTORY}/a",
        "MINTONCE_CLIENTS__A_FILE__CLIENT_ID": "x",
        "MINTONCE_CLIENTS__A_FILE__CLIENT_SECRET": "${b}",
        "MINTONCE_CLIENTS__A_FILE__ISSUER": "default",
    }
    clients = load(None, environ).clients
    assert clients["default"].client_secret == Secret("${CREDENTIALS_DIRECTORY}/a")
    assert clients["a_file"].client_secret == Secret("${b}")
