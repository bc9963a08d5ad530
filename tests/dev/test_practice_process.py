"""The practice issuer as a process of its own."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

COMMAND = [sys.executable, "-W", "error", "-m", "mintonce_dev.practice_issuer"]


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    (tmp_path / "secret").write_text("s3cret\n")
    return subprocess.Popen(
        [*COMMAND, "--secret-file", str(tmp_path / "secret"), "--log", str(tmp_path / "log"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_says_where_it_listens_and_ends_on_sigterm(tmp_path: Path) -> None:
    """Cleanly, with code 0 and nothing on stderr."""
    with start(tmp_path, "--client-id", "c", "--lifetime", "2.5", "--audience", "a") as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/oauth/token", process.stdout.readline())
        assert found is not None
        body = {"audience": "a", "grant_type": "client_credentials", "client_id": "c", "client_secret": "s3cret"}
        answer = httpx.post(found.group(), json=body, trust_env=False)
        assert answer.json()["expires_in"] == 2.5
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    """Code 1 and one line."""
    done = subprocess.run(
        [*COMMAND, "--secret-file", str(tmp_path / "absent")], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "absent" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_cannot_be_is_a_usage_error(tmp_path: Path) -> None:
    """No traceback."""
    with start(tmp_path, "--port", "99999") as process:
        _, errors = process.communicate(timeout=10)
        assert process.returncode == 2
        assert errors.endswith("error: argument --port: write a port: a whole number from 0 to 65535\n")
