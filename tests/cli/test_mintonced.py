"""`mintonced`: what it prints when something is wrong."""

import os
import subprocess
import sys

import pytest

from mintonce_server.cli.main import main


@pytest.mark.parametrize("argv", [["health", "--target", "x\x1b[2J\x07"], ["apikey", "x\x1b[2J"]])
def test_a_complaint_cannot_command_the_terminal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it repeats: an address, an answer, a text of a library."""
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err
    assert all(line.isprintable() for line in err.splitlines())


WITHOUT_DEV = (
    "import sys; sys.modules['mintonce_dev'] = None; from mintonce_server.__main__ import main; sys.exit(main())"
)
SERVE = """
import asyncio, sys
from mintonce_server import app
from mintonce_server.cli import main as cli

serve = app.serve

async def ready_and_stop(settings, stopping, _):
    await serve(settings, stopping, lambda _: stopping.set())
    print(*(name for name in sys.modules if name.startswith("mintonce_dev")))

app.serve = ready_and_stop
sys.exit(cli.main(["serve"]))
"""


@pytest.mark.parametrize("command", [["dev"], ["practice-issuer", "--secret-file", "x"]])
def test_where_mintonce_dev_is_not_installed_one_line_says_what_to_install(command: list[str]) -> None:
    """The image has only the server."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DEV, *command], capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"mintonced: `mintonced {command[0]}` is not installed: pip install 'mintonce[dev]'\n"


def test_serving_imports_nothing_of_mintonce_dev() -> None:
    """A server that has started, and stops again."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINTONCE_")} | {
        "MINTONCE_LISTEN": "127.0.0.1:0",
        "MINTONCE_OAUTH_DOMAIN": "http://127.0.0.1:1",
        "MINTONCE_CLIENT_ID": "id",
        "MINTONCE_CLIENT_SECRET": "a-secret-of-a-test",
        "MINTONCE_REDIS_URL": "redis://127.0.0.1:1/0",
    }

    done = subprocess.run(
        [sys.executable, "-c", SERVE], env=environ, capture_output=True, text=True, timeout=50, check=False
    )

    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
