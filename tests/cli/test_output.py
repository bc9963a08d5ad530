"""`mintonced` whose output cannot be written says so; there is no message when the reader is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SETTINGS = {
    "OAUTH_DOMAIN": "http://127.0.0.1:1",
    "CLIENT_ID": "a",
    "CLIENT_SECRET": "s",
    "REDIS_URL": "redis://127.0.0.1:1",
}
COMMANDS = [
    ["check"],
    ["check", "--config", "/no/such/file"],
    ["settings"],
    ["keygen"],
    ["apikey", "billing"],
    ["explain", "key:a", "a", "", "--policy", "policy.toml"],
    ["--help"],
    ["health", "--help"],
    ["practice-issuer", "--help"],
]  # fmt: skip


def ended(words: list[str], directory: Path, redirected: str, stdout: int | None = None) -> tuple[int, str]:
    """Exit code and standard error."""
    (directory / "policy.toml").write_text(
        '[[rules]]\nname = "all"\ncallers = ["key:a"]\nclients = ["a"]\naudiences = ["*"]\nmay = ["get"]\n'
    )
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirected}', "sh", sys.executable, "-m", "mintonce_server", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=directory,
        timeout=30,
        check=False,
        env=os.environ | {f"MINTONCE_{name}": value for name, value in SETTINGS.items()} | {"PYTHONUNBUFFERED": ""},
    )
    err = done.stderr.decode()
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    return done.returncode, err


@pytest.mark.parametrize("words", COMMANDS)
def test_a_full_disk(words: list[str], tmp_path: Path) -> None:
    """Every command names it, with its remedy, and no other fault."""
    code, err = ended(words, tmp_path, ">/dev/full")
    assert code == 1
    assert "mintonced: standard output cannot be written: No space left on device\n" in err
    assert err.endswith("\nFree space there, or redirect it.\n")
    assert "serve" not in err
    assert "Free the address" not in err


@pytest.mark.parametrize("words", COMMANDS)
def test_a_reader_that_is_gone(words: list[str], tmp_path: Path) -> None:
    """As `mintonced check | true`; here it is surely gone before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code, err = ended(words, tmp_path, "", writing)
    finally:
        os.close(writing)
    assert code == 1
    assert err == "" or words[0] == "apikey"
    assert "cannot be written" not in err


def test_output_that_is_closed(tmp_path: Path) -> None:
    """A key that goes nowhere is no success."""
    code, err = ended(["keygen"], tmp_path, ">&-")
    assert code == 1
    assert "standard output cannot be written: it is closed" in err


def test_a_key_file_that_cannot_be_replaced(tmp_path: Path) -> None:
    """It is the file that is at fault, and no address."""
    code, err = ended(["keygen", "--rotate", "none"], tmp_path, "")
    assert code == 1
    assert err == "mintonced: none cannot be replaced: No such file or directory\nName a file that this user owns.\n"
