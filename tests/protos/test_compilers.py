"""The protos compile with what others have: Debian's protoc, buf, and each language that they generate."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROTOS: Final = ROOT / "protos"
FILES: Final = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
PROTOC: Final = shutil.which("protoc")

needs_protoc = pytest.mark.skipif(
    PROTOC is None, reason="no protoc on PATH; on Debian and Ubuntu: apt install protobuf-compiler"
)


@needs_protoc
@pytest.mark.parametrize("language", ["cpp", "csharp", "java", "kotlin", "objc", "php", "python", "ruby"])
def test_the_installed_protoc_generates(language: str, tmp_path: Path) -> None:
    """Every language that it knows without a plugin, without a warning."""
    assert PROTOC is not None
    command = [PROTOC, f"-I{PROTOS}", f"--{language}_out={tmp_path}", *FILES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()]


def test_buf_compiles_them(tmp_path: Path) -> None:
    """Without a warning."""
    command = [str(Path(sys.executable).with_name("buf")), "build", "--output", str(tmp_path / "out.binpb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_option_is_newer_than_the_oldest_protoc_that_is_supported() -> None:
    """3.21 knows neither `debug_redact` nor editions. Looked at here where that protoc is not installed."""
    for name in FILES:
        text = (PROTOS / name).read_text()
        assert text.count('syntax = "proto3";') == 1
        assert not re.search(r"^edition|debug_redact|retention|\bfeatures\.", text, re.MULTILINE)


def test_each_file_has_the_packages_of_each_language() -> None:
    """The same in all."""
    options = {name: re.findall(r"^option (\w+) = (.+);$", (PROTOS / name).read_text(), re.MULTILINE) for name in FILES}
    assert len({tuple(found) for found in options.values()}) == 1
    assert {option for option, _ in options[FILES[0]]} >= {"csharp_namespace", "go_package", "java_package"}
