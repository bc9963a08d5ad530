"""The unit and its README fit the program and each other."""

import re
from pathlib import Path

import pytest

from mintonce_server.config import load
from mintonce_server.config.reference import reference

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "systemd"
UNIT = (FOLDER / "mintonced.service").read_text()
README = (FOLDER / "README.md").read_text()
ROTATION = (FOLDER / "mintonce.logrotate").read_text()
DEFAULTS = {row.name: row.default.strip('"') for row in reference()}

SETTINGS = dict(re.findall(r"^([A-Z]\w+)=(.*)$", UNIT, re.MULTILINE))
CREDENTIALS = dict(re.findall(r"^LoadCredential=([\w.-]+):(\S+)$", UNIT, re.MULTILINE))


def seconds(text: str) -> int:
    """Of a time as units write it."""
    return int(text.removesuffix("s"))


def test_the_settings_in_the_readme_are_accepted(tmp_path: Path) -> None:
    """With the credentials of the unit, and without any word that it is insecure."""
    (text,) = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for path in (*(credentials / name for name in CREDENTIALS), tmp_path / "policy.toml", tmp_path / "tls.crt",
                 tmp_path / "callers-ca.crt"):  # fmt: skip
        path.touch(mode=0o600)
        path.write_text("rediss://redis.example.com:6379/0" if path.name == "redis-url" else "x")
    config = tmp_path / "mintonce.toml"
    config.write_text(text)

    settings = load(config, {"CREDENTIALS_DIRECTORY": str(credentials)})

    assert settings.sealing_keys_file == credentials / "sealing.toml"
    assert settings.audit_file == Path("/var/log", SETTINGS["LogsDirectory"], "audit.jsonl")
    assert "insecure" not in text
    named = set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/([\w.-]+)", text))
    assert named == CREDENTIALS.keys()


def test_the_unit_waits_for_the_drain_and_for_the_start() -> None:
    """A service that is killed while it drains would break calls."""
    assert seconds(SETTINGS["TimeoutStopSec"]) > seconds(DEFAULTS["drain_timeout"]) + 5
    assert SETTINGS["Type"] == "notify"
    assert seconds(SETTINGS["WatchdogSec"]) >= 10


@pytest.mark.parametrize("setting", ["ProcSubset", "CapabilityBoundingSet", "SystemCallFilter"])
def test_each_line_of_the_unit_is_explained(setting: str) -> None:
    """Also why one is not there."""
    assert setting in README.partition("## What each line")[2]


def test_every_setting_of_the_unit_stands_in_the_table() -> None:
    """By its name, or by the beginning that several share."""
    table = README.partition("## What each line")[2]
    shared = ("ProtectKernel", "Restart", "Timeout", "Exec", "LimitNOFILE")
    names = set(re.findall(r"^([A-Z]\w+)=", UNIT.partition("# Who it is")[2].partition("[Install]")[0], re.MULTILINE))
    assert len(names) > 30
    assert [name for name in sorted(names) if name not in table and not name.startswith(shared)] == []


def test_the_rotation_loses_no_record() -> None:
    """The server finds out by itself that its file was moved, and makes the new one."""
    words = set(ROTATION.partition("{")[2].split())
    assert {"nocreate", "delaycompress", "compress"} <= words
    assert not {"copytruncate", "create", "postrotate"} & words
    assert f"/var/log/{SETTINGS['LogsDirectory']}/audit.jsonl {{" in ROTATION
