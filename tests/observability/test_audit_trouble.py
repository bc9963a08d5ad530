"""The audit log when things go wrong around it: full disks, closed folders, pipes, whatever a caller sends."""

import json
import os
import resource
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mintonce_server.common.clock import SystemClock
from mintonce_server.core.errors import AuditUnavailable
from mintonce_server.observability.audit import MAX_TEXT, AuditLog, ReloadRecord, require_audit_file

CLOCK = SystemClock()


@contextmanager
def files_no_larger_than(size: int) -> Generator[None]:
    """As if the disk were full behind so many bytes: what fits is written, the rest is not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def fill(audit: AuditLog) -> None:
    """More than a pipe holds."""
    for _ in range(10_000):
        audit.write(ReloadRecord("it", "loaded"))


def whats(path: Path) -> list[str]:
    """What the records that can be read are of."""
    found: list[str] = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line)["what"])
        except ValueError:
            found.append("torn")
    return found


def test_a_line_that_broke_off_does_not_swallow_the_next(tmp_path: Path) -> None:
    """The disk was full in the middle of it; all goes on by itself when there is room."""
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, CLOCK) as audit:
        audit.write(ReloadRecord("before", "loaded"))
        with files_no_larger_than(path.stat().st_size + 20):
            for _ in range(2):
                with pytest.raises(AuditUnavailable):
                    audit.write(ReloadRecord("lost", "loaded"))
        audit.write(ReloadRecord("after", "loaded"))
        audit.write(ReloadRecord("later", "loaded"))

    assert whats(path) == ["before", "torn", "after", "later"]


def test_nor_does_one_that_an_earlier_program_left(tmp_path: Path) -> None:
    """It was killed, or its disk was full."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"v":1,"kind":"ca')
    for what in ("after", "later"):
        with AuditLog(path, CLOCK) as audit:
            audit.write(ReloadRecord(what, "loaded"))

    assert whats(path) == ["torn", "after", "later"]


def test_a_rotation_ends_what_broke_off(tmp_path: Path) -> None:
    """The new file begins with a record."""
    path = tmp_path / "audit.jsonl"
    with AuditLog(path, CLOCK) as audit:
        with files_no_larger_than(20), pytest.raises(AuditUnavailable):
            audit.write(ReloadRecord("lost", "loaded"))
        path.rename(tmp_path / "old")
        assert audit.reopen()
        audit.write(ReloadRecord("after", "loaded"))

    assert whats(path) == ["after"]


def test_what_cannot_be_reopened_goes_on_where_it_was(tmp_path: Path) -> None:
    """The folder is gone, or is none any more: that is reported, and nothing is lost."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with AuditLog(folder / "audit.jsonl", CLOCK) as audit:
        folder.rename(tmp_path / "moved")
        with pytest.raises(AuditUnavailable):  # no folder
            audit.reopen()
        folder.touch()
        with pytest.raises(AuditUnavailable):  # a file is in its place
            audit.reopen()
        audit.write(ReloadRecord("it", "loaded"))

    assert whats(tmp_path / "moved" / "audit.jsonl") == ["it"]


def test_a_pipe_without_a_reader_holds_up_no_call(tmp_path: Path) -> None:
    """It is an error at once; and so is one whose reader has stopped."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(AuditUnavailable):
        AuditLog(pipe, CLOCK)

    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with AuditLog(pipe, CLOCK) as audit, pytest.raises(AuditUnavailable):
            fill(audit)
    finally:
        os.close(reader)


def test_a_record_is_bounded(tmp_path: Path) -> None:
    """And half of a token is none that can be told from a word: it is masked before it is cut."""
    path = tmp_path / "audit.jsonl"
    text = "x " * (MAX_TEXT // 2 - 4) + "eyJ" + "hbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
    with AuditLog(path, CLOCK) as audit:
        audit.write(ReloadRecord(text * 50, "loaded"))

    (what,) = whats(path)
    assert len(what) == MAX_TEXT
    assert "eyJ" not in what


def test_what_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    """Whatever the reason: nothing is handed out that is not on record."""
    with AuditLog(tmp_path / "audit.jsonl", CLOCK) as audit:
        for what in (object(), float("nan")):
            with pytest.raises(AuditUnavailable) as caught:
                audit.write(ReloadRecord(what, "loaded"))  # type: ignore[arg-type] # that is the point
            assert caught.value.__cause__ is not None
        audit.write(ReloadRecord("after", "loaded"))
    assert whats(tmp_path / "audit.jsonl") == ["after"]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (".", "Name a file, not a directory, as audit_file."),
        ("absent/audit.jsonl", "Create the directory of "),
        ("file/audit.jsonl", "Create the directory of "),
    ],
)
def test_a_log_that_cannot_be_is_found_before_a_server_starts(tmp_path: Path, name: str, remedy: str) -> None:
    """`mintonced check` says what `serve` would say."""
    (tmp_path / "file").touch()
    with pytest.raises(AuditUnavailable) as checked:
        require_audit_file(tmp_path / name)
    with pytest.raises(AuditUnavailable) as started:
        AuditLog(tmp_path / name, CLOCK)

    assert checked.value.remedy.startswith(remedy)
    assert (str(checked.value), checked.value.remedy) == (str(started.value), started.value.remedy)


def test_looking_whether_a_log_can_be_creates_none(tmp_path: Path) -> None:
    """A check leaves nothing behind, and changes nothing."""
    require_audit_file(tmp_path / "new.jsonl")
    assert not list(tmp_path.iterdir())

    (tmp_path / "old.jsonl").write_text("{}\n")
    require_audit_file(tmp_path / "old.jsonl")
    assert (tmp_path / "old.jsonl").read_text() == "{}\n"
