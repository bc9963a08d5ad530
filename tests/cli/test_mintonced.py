"""`mintonced`: what it prints when something is wrong."""

import os
import subprocess
import sys
from pathlib import Path

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

async def ready_and_stop(settings, stopping, *_):
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


@pytest.mark.parametrize("after", ["nan", "inf", "1e400", "99999999999999", "-5", "soon"])
def test_a_delay_that_is_no_time_is_a_usage_error(
    after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the file stays as it is."""
    keys = tmp_path / "keys.toml"
    assert main(["keygen"]) == 0
    keys.write_text(before := capsys.readouterr().out)

    with pytest.raises(SystemExit) as end:
        main(["keygen", "--rotate", str(keys), f"--after={after}"])

    assert end.value.code == 2
    assert "write seconds: a number from 0 to" in capsys.readouterr().err
    assert keys.read_text() == before


def test_a_key_is_added_to_the_file_behind_a_symbolic_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The link stays one: what others read by the file's own name has the key too."""
    keys, link = tmp_path / "keys.toml", tmp_path / "link.toml"
    assert main(["keygen"]) == 0
    keys.write_text(capsys.readouterr().out)
    link.symlink_to(keys.name)

    assert main(["keygen", "--rotate", str(link)]) == 0

    assert link.is_symlink()
    assert keys.read_text().count("[[sealing_keys]]\n") == 2


@pytest.mark.parametrize(
    "argument", ["--issuer-port=99999", "--issuer-port=-1", "--lifetime=nan", "--lifetime=0", "--lifetime=1e400"]
)
def test_a_port_or_lifetime_that_cannot_be_is_a_usage_error(
    argument: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started."""
    with pytest.raises(SystemExit) as end:
        main(["dev", "--dir", str(tmp_path), argument])

    assert end.value.code == 2
    assert ": write " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
