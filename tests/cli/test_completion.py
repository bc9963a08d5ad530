"""`mintonce completion` and `mintonced completion`: a script for the shell, without a server."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
COMPLETE = """
source /dev/stdin
COMP_WORDS=({program} {words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {program}
echo "${{COMPREPLY[@]}}"
"""


def script(program: str, shell: str) -> str:
    done = subprocess.run([BIN / program, "completion", shell], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
@pytest.mark.parametrize(("program", "command"), [("mintonce", "rotate"), ("mintonced", "reseal")])
def test_each_shell_has_a_script(program: str, command: str, shell: str) -> None:
    """With the commands in it."""
    assert command in script(program, shell)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on PATH")
@pytest.mark.parametrize(
    ("program", "words", "offered"),
    [
        ("mintonce", "r", {"reject", "rotate"}),
        ("mintonce", "ls --so", {"--sort"}),
        ("mintonce", "ls --sort ex", {"expiry"}),
        ("mintonced", "he", {"health"}),
        ("mintonced", "health --ta", {"--target"}),
        ("mintonced", "dev --log-level de", {"debug"}),
    ],
)
def test_bash_completes(program: str, words: str, offered: set[str]) -> None:
    """Commands, options and their values."""
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE.format(program=program, words=words)],
        input=script(program, "bash"),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize(
    ("program", "module", "code"), [("mintonce", "mintonce.cli", 2), ("mintonced", "mintonce_server.__main__", 1)]
)
def test_without_shtab_the_extra_is_named(program: str, module: str, code: int) -> None:
    """No traceback."""
    text = f"import sys; sys.modules['shtab'] = None\nfrom {module} import main\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", text, "completion", "bash"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"{program}: completion needs shtab: pip install 'mintonce[completion]'\n"
