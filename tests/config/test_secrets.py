"""No secret leaves the settings but by `reveal()`."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from mintonce_server.common.files import is_open
from mintonce_server.config import SettingsError, load
from mintonce_server.core.secret import Secret
from support.settings import COMPLETE

WriteConfig = Callable[[str], Path]

CANARY = "canary5ecret"

# Each is wrong, and holds a secret where an operator may put one by mistake.
MISPLACED = [
    f'listen = "{CANARY}"',
    f'[log]\nlevel = "{CANARY}"',
    f'lease_ttl = "{CANARY}"',
    f'[limits]\nmint_burst = "{CANARY}"',
    f'reflection = "{CANARY}"',
    f'unknown = "{CANARY}"',
    f'redis = "{CANARY}"',
    f'clients = "{CANARY}"',
    f'[redis]\nurl = "{CANARY}"',
    f'[redis]\nurl = "redis://:{CANARY}@h:{CANARY}/0"',
    f'[redis]\nurl = "redis://:{CANARY}@[h/0"',
    f'[redis]\nurl = "redis://:{CANARY}@h/x"',
    f'[redis]\nurl = ["{CANARY}"]',
    f'[issuers.a]\ntoken_url = "https://u:{CANARY}@h:{CANARY}/"',
    f'[issuers.a]\ntoken_url = "https://u:{CANARY}@h/"',
    f'[issuers.a]\ndomain = ["{CANARY}"]',
    f'[issuers.a]\nrequest = "{CANARY}"',
    f'[clients.a]\nclient_secret = ["{CANARY}"]',
    f'[clients.a]\nclient_secret = "{CANARY}\\n"',
    f'[clients.a]\nclient_secret = "{CANARY}"\nclient_secret_files = ["x"]',
    f'[clients.a]\nissuer = "{CANARY}"',
    f'[clients.a]\naudiences = ["{CANARY} {CANARY}"]',
    f'[clients.a]\nextra = {{ client_secret = "{CANARY}" }}',
    f'[clients.a]\nextra = {{ a = ["{CANARY}", 2020-01-01] }}',
    f'[clients.a]\nextra = "{CANARY}"',
    f'client_secret = "{CANARY}',
    f"client_secret = {CANARY}",
]


@pytest.mark.parametrize("text", MISPLACED)
def test_no_fault_repeats_a_value(write_config: WriteConfig, text: str) -> None:
    """Neither the message, nor the remedy, nor a cause in the traceback shows what stood in the wrong place."""
    with pytest.raises(SettingsError) as caught:
        load(write_config(text), {})

    shown = "".join(traceback.format_exception(caught.value)) + caught.value.remedy + repr(caught.value.issues)
    assert CANARY not in shown
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "name",
    [
        "MINTONCE_LISTEN",
        "MINTONCE_REDIS_URL",
        "MINTONCE_OAUTH_DOMAIN",
        "MINTONCE_CLIENT_SECRETT",
        "MINTONCE_CLIENTS__A",
    ],
)
def test_no_fault_repeats_a_variable(smallest: dict[str, str], name: str) -> None:
    """The same holds for the environment."""
    with pytest.raises(SettingsError) as caught:
        load(None, {**smallest, name: f"x://:{CANARY}@ {CANARY}"})

    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_settings_show_no_secret(write_config: WriteConfig) -> None:
    """Neither repr nor a dump of the settings shows secrets, nor `extra`, which may hold some."""
    config = write_config(
        COMPLETE.replace("billing-secret", CANARY).replace("redis://", f"redis://user:{CANARY}@")
        + f'extra = {{ note = "{CANARY}" }}'
    )

    settings = load(config, {})

    assert CANARY not in repr(settings) + str(settings)
    assert CANARY not in repr(settings.model_dump(exclude={"clients": {"billing": {"extra"}}}))
    assert settings.redis.safe_url == "redis://127.0.0.1:6379/0"
    assert settings.clients["billing"].client_secret == Secret(CANARY)


def test_no_library_logs_what_was_read(
    smallest: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """pydantic-settings does, all secrets in clear, when this variable is set and everything is logged."""
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level("DEBUG")

    load(None, {**smallest, "MINTONCE_CLIENT_SECRET": CANARY})

    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"\xff\xfe", "UTF-8"),
        (b"two\nlines", "control"),
        (b"a NUL\0", "control"),
        (b"x" * 5000, "more than"),
        (b"x" * (2 << 20), "larger"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_fault(
    smallest: dict[str, str], tmp_path: Path, content: bytes, what: str
) -> None:
    """A secret is one line of text."""
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(content)
    del smallest["MINTONCE_CLIENT_SECRET"]

    with pytest.raises(SettingsError, match=what):
        load(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILES": str(file)})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_secret_file_that_others_can_read_is_a_fault(smallest: dict[str, str], tmp_path: Path, mode: int) -> None:
    """The remedy is the command to type."""
    file = tmp_path / "secret"
    file.write_text("s3cret")
    file.chmod(mode)
    del smallest["MINTONCE_CLIENT_SECRET"]

    with pytest.raises(SettingsError, match="chmod 600"):
        load(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILES": str(file)})


def test_a_secret_is_not_read_from_a_folder_or_a_pipe(smallest: dict[str, str], tmp_path: Path) -> None:
    """Only regular files: reading a pipe could wait for ever."""
    del smallest["MINTONCE_CLIENT_SECRET"]

    with pytest.raises(SettingsError, match="not a regular file"):
        load(None, {**smallest, "MINTONCE_CLIENT_SECRET_FILES": str(tmp_path)})


FILE_ONLY = COMPLETE.replace('client_secret = "billing-secret"', 'client_secret_files = ["billing-secret"]')


@pytest.mark.parametrize(
    ("config", "secret"),
    [
        (COMPLETE, True),
        (FILE_ONLY, False),
        (FILE_ONLY.replace("redis://", "redis://:x@"), True),
    ],
)
def test_a_config_file_with_a_secret_must_be_closed(write_config: WriteConfig, config: str, secret: bool) -> None:
    """One that only names files of secrets may be read by all."""
    path = write_config(config)
    path.chmod(0o644)

    with pytest.raises(SettingsError) as caught:
        load(path, {})  # the other one fails too: its secret file is absent

    assert ("can be read or written by others" in str(caught.value)) is secret


@pytest.mark.parametrize(
    ("mode", "uid", "path", "expected"),
    [
        (0o100600, 1000, "/home/a/secret", False),
        (0o100400, 0, "/home/a/secret", False),
        (0o100444, 0, "/home/a/secret", True),
        (0o100444, 0, "/run/secrets/client", False),
        (0o100440, 0, "/run/secrets/..2026/client", False),
        (0o100440, 0, "/run/credentials/mintonce.service/client", False),
        (0o100444, 1000, "/run/secrets/client", True),
        (0o100446, 0, "/run/secrets/client", True),
        (0o100444, 0, "/run/secrets-of-others/client", True),
    ],
)
def test_mounted_secrets_may_be_read_by_all(mode: int, uid: int, path: str, expected: bool) -> None:
    """Compose and Kubernetes mount root's files under /run/secrets: the container's user may read them."""
    assert is_open(mode, uid, path) is expected
