"""How `mintonced serve` ends, or does not, when something happens at its start. In a process of its own."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys
from mintonce_server.cli import main as cli
from mintonce_server import app

async def serve(*_):
    {what}

app.serve = serve
sys.exit(cli.main(["serve"]))
"""
SETTINGS = {
    "MINTONCE_OAUTH_DOMAIN": "http://127.0.0.1:1",
    "MINTONCE_CLIENT_ID": "id",
    "MINTONCE_CLIENT_SECRET": "a-secret-of-a-test",
    "MINTONCE_REDIS_URL": "redis://127.0.0.1:1/0",
}


def run(what: str) -> subprocess.CompletedProcess[str]:
    """`mintonced serve`, whose service does only this."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")}
    program = [sys.executable, "-c", PROGRAM.format(what=what)]
    return subprocess.run(program, env=environ | SETTINGS, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    "error", ["RuntimeError('x')", "KeyError('x')", "ExceptionGroup('x', [ValueError('y')])", "RecursionError()"]
)
def test_a_fault_of_ours_is_a_log_line(error: str) -> None:
    """With a traceback and exit code 1; nothing is printed beside it."""
    done = run(f"raise {error}")
    assert (done.returncode, done.stdout) == (1, "")
    line = json.loads(done.stderr.splitlines()[-1])
    assert (line["event"], line["where"]) == ("unexpected_error", "serve")
    assert "Traceback" in line["exception"]


def test_a_signal_to_reload_at_the_start_ends_nothing() -> None:
    """It may come before anybody listens for it."""
    assert run("signal.raise_signal(signal.SIGHUP)").returncode == 0
