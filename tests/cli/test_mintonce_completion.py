"""`mintonce completion`: a script for the shell, without a server."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("mintonce")
COMPLETE = """
source /dev/stdin
COMP_WORDS=(mintonce {words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
$(complete -p mintonce | sed 's/.*-F \\([^ ]*\\).*/\\1/') mintonce
echo "${{COMPREPLY[@]}}"
"""


def script(shell: str) -> str:
    done = subprocess.run([PROGRAM, "completion", shell], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_each_shell_has_a_script(shell: str) -> None:
    """With the commands in it."""
    assert "rotate" in script(shell)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on PATH")
@pytest.mark.parametrize(
    ("words", "offered"), [("r", {"reject", "rotate"}), ("ls --so", {"--sort"}), ("ls --sort ex", {"expiry"})]
)
def test_bash_completes(words: str, offered: set[str]) -> None:
    """Commands, options and their values."""
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE.format(words=words)],
        input=script("bash"),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert set(done.stdout.split()) == offered


def test_without_shtab_the_extra_is_named() -> None:
    """No traceback."""
    code = (
        "import sys; sys.modules['shtab'] = None\nfrom mintonce.cli import main\nsys.exit(main(['completion', 'bash']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "completion", "bash"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mintonce: completion needs shtab: pip install 'mintonce[completion]'\n"
