"""What `make lint` and `make audit` say of what we install."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HASH = "--hash=sha256:" + "0" * 64
INTEGRITY = '"integrity": "sha512-x"'


def audit(folder: Path, files: dict[str, str]) -> list[str]:
    """The complaints of the program in a checkout with these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "tools").mkdir()
    for name in ("audit.py", "sizes.py"):
        (folder / "tools" / name).write_text((ROOT / "tools" / name).read_text())
    subprocess.run(["git", "init", "--quiet", folder], check=True, capture_output=True)
    program = [sys.executable, str(folder / "tools" / "audit.py")]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=30)
    assert done.stderr == ""
    assert done.returncode == bool(done.stdout.strip())
    return done.stdout.split("\n")[:-1] if done.returncode else []


def test_what_is_pinned_as_it_should_be_passes(tmp_path: Path) -> None:
    """Continued lines, markers, comments, a lock file of npm, commands that look at hashes."""
    files = {
        "requirements/run.txt": f"# made by a program\nanyio==4.0 ; os_name == 'x' \\\n    {HASH} \\\n    {HASH}\n",
        "package-lock.json": f'{{"packages": {{"": {{}}, "node_modules/x": {{{INTEGRITY}}}}}}}',
        "Makefile": "all:\n\tpip install --require-hashes -r requirements/run.txt\n\tnpm ci --ignore-scripts\n",
    }
    assert audit(tmp_path, files) == []


@pytest.mark.parametrize(
    "line",
    [
        "anyio==4.0",
        f"anyio>=4.0 {HASH}",
        "anyio==4.0 --hash=md5:" + "0" * 32,
        f"anyio @ https://example.com/anyio.whl {HASH}",
        "--index-url https://example.com/simple",
        "--extra-index-url https://example.com/simple",
        "--trusted-host example.com",
        "-e .",
        "-r other.txt",
    ],
)
def test_anything_but_a_pin_with_a_hash_is_reported(tmp_path: Path, line: str) -> None:
    """Ranges, weak hashes, URLs, other indexes, other files."""
    (said,) = audit(tmp_path, {"requirements/run.txt": f"idna==3.0 {HASH}\n{line}\n"})
    assert said.startswith("requirements/run.txt: not a pin with hashes")


def test_lock_files_of_npm_have_hashes_and_no_hosts(tmp_path: Path) -> None:
    """Weak hashes count as none."""
    weak = '{"packages": {"node_modules/x": {"integrity": "sha1-x"}, "node_modules/y": {%s, "resolved": "h"}}}'
    said = audit(tmp_path, {"package-lock.json": weak % INTEGRITY, "old/package-lock.json": "{}"})
    assert sorted(line.partition(": ")[2] for line in said) == [
        "has no packages: not a lock file of npm 7 or newer",
        "node_modules/x has no sha512 integrity",
        "node_modules/y says where it comes from",
    ]


def test_two_versions_in_one_environment_are_told(tmp_path: Path) -> None:
    """What is tested must be what is shipped."""
    files = {"requirements/run.txt": f"idna==3.0 {HASH}", "requirements/server.txt": f"idna==3.1 {HASH}"}
    assert [line.partition(":")[0] for line in audit(tmp_path, files)] == ["idna"]


def test_an_installation_without_a_look_at_hashes_is_reported(tmp_path: Path) -> None:
    """In the Makefile and the Dockerfile; a package's own scripts do not run either."""
    files = {"Makefile": "all:\n\tnpm ci\n", "server/Dockerfile": "RUN python -m pip install -r requirements/run.txt\n"}
    said = audit(tmp_path, files)
    assert ["--ignore-scripts" in said[0], "--require-hashes" in said[1]] == [True, True]


@pytest.mark.parametrize(
    ("licence", "complaints"),
    [("MIT", 0), ("Apache-2.0 OR BSD-3-Clause", 0), ("AGPL-3.0-only", 1), ("MIT AND GPL-2.0-only", 1), ("", 1)],
)
def test_an_unknown_licence_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, licence: str, complaints: int
) -> None:
    """Of what the server is shipped with."""
    package = tmp_path / "site" / "made_up-1.0.dist-info"
    package.mkdir(parents=True)
    line = f"License-Expression: {licence}\n" if licence else ""
    (package / "METADATA").write_text(f"Metadata-Version: 2.4\nName: made-up\nVersion: 1.0\n{line}")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    assert len(audit(tmp_path, {"requirements/server.txt": f"made-up==1.0 {HASH}\n"})) == complaints


@pytest.mark.parametrize(
    ("returncode", "said", "verdict"),
    [
        (0, "No known vulnerabilities found", 0),
        (0, "found 0 vulnerabilities", 0),
        (1, "Found 2 known vulnerabilities in 1 package", 1),
        (1, "3 high severity vulnerabilities", 1),
        (1, "Found 1 known vulnerability in 1 package\npluggy: could not be audited", 1),
        (0, "pluggy: Dependency not found and could not be audited", 3),
        (1, "requests.exceptions.ConnectionError: Max retries exceeded", 3),
        (1, "npm error audit endpoint returned an error", 3),
        (2, "usage: pip-audit", 1),
    ],
)
def test_no_answer_of_a_database_is_no_all_clear(returncode: int, said: str, verdict: int) -> None:
    """0 only if all was looked up and nothing is known; 3 if it was not; what is not understood counts as a finding."""
    program = "import sys, audit; print(audit.verdict(int(sys.argv[1]), sys.argv[2]))"
    words = [sys.executable, "-c", program, str(returncode), said]
    done = subprocess.run(words, cwd=ROOT / "tools", capture_output=True, text=True, check=True, timeout=30)
    assert int(done.stdout) == verdict
