"""Runs a command as an ordinary user, in a copy of this repository: `sudo python3 tools/as_user.py COMMAND…`.

A check that passes only for root must not pass. The user is `nobody`, with a home of its own. The copy has the files
that git knows or would add, so nothing that was installed or cached here, and is removed at the end.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USER = "nobody"
IMPOSSIBLE = 125
"""The exit code when the command was not run. Our own errors have it too."""


def copy_files(target: Path) -> None:
    """Committed, changed and new files. Owners and times are not kept."""
    # The owner of the repository does not matter: nothing is run from it.
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    for name in filter(None, set(listed.stdout.split("\0"))):
        source = ROOT / name
        if source.is_symlink() or source.is_file():  # a file that git knows may have been deleted
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name, follow_symlinks=False)


def give_away(folder: Path, user: pwd.struct_passwd) -> None:
    """Makes this user the owner of the folder and everything in it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def environment(home: Path) -> dict[str, str]:
    """As here, without what leads into root's home, where the user may not go. Programs skip such parts of PATH."""
    own = os.path.expanduser("~") + "/"
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or own not in value + "/"}
    return kept | {"HOME": str(home), "USER": USER, "LOGNAME": USER}


def lend_rust(folder: Path) -> dict[str, str]:
    """The variables with which the user finds root's Rust, linked into this folder. None where there is no such thing.

    rustup puts all of it into a home, and nobody but root may enter root's.
    """
    home = Path.home()
    rustup, programs = home / ".rustup", home / ".cargo" / "bin"
    try:
        shutil.copytree(rustup, folder / "rustup", symlinks=True, copy_function=os.link)
        shutil.copytree(programs, folder / "bin", symlinks=True, copy_function=os.link)
    except (OSError, shutil.Error):  # not there, or on another file system
        return {}
    return {"RUSTUP_HOME": str(folder / "rustup"), "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str], user: pwd.struct_passwd) -> int:
    """The exit code."""
    done = subprocess.run(
        command, cwd=folder, env=environ, user=user.pw_uid, group=user.pw_gid, extra_groups=[], umask=0o022, check=False
    )
    return done.returncode


def main(command: Sequence[str]) -> int:
    """The command's exit code."""
    if os.geteuid() != 0 or not command:
        print("as_user: run it as root, and name a command", file=sys.stderr)
        return IMPOSSIBLE
    user = pwd.getpwnam(USER)
    with tempfile.TemporaryDirectory(prefix="mintonce-") as directory:
        copy, home = Path(directory, "mintonce"), Path(directory, "home")
        home.mkdir()
        copy_files(copy)
        give_away(Path(directory), user)
        environ = environment(home) | lend_rust(Path(directory))  # links, which stay root's own: not given away
        for step in (["git", "init", "--quiet"], ["git", "add", "--all"], ["make", "--silent", ".venv/.created"]):
            if run(step, copy, environ, user) != 0:
                print(f"as_user: the user {USER} cannot run {' '.join(step)}", file=sys.stderr)
                return IMPOSSIBLE
        return run(command, copy, environ, user)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        print(f"as_user: {error}", file=sys.stderr)
        sys.exit(IMPOSSIBLE)
