"""Files that change while the program runs."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mintonce_server.common.files import MAX_FILE_BYTES
from mintonce_server.core.errors import InvalidRequest
from mintonce_server.reload.files import (
    PAIR_ATTEMPTS,
    READ_TIMEOUT,
    REPEAT_INTERVAL,
    FileValue,
    Reloader,
    UnusableAlone,
)
from support.clocks import ManualClock


def no_check(_: Path) -> None:
    """For files that anyone may access."""


class Bench:
    """One or two files, what was made of them, and what was said."""

    def __init__(self, *paths: Path) -> None:
        self.values: list[bytes] = []
        self.loaded: list[str] = []
        self.trouble: list[str] = []
        self.clock = ManualClock()
        self.in_between: Callable[[], object] = lambda: None
        """What others do while a change settles."""
        for path in paths:
            path.write_bytes(b"first")
        self.value = self.loading(*paths)
        self.reloader = self.reloading(self.value)

    def loading(self, *paths: Path) -> FileValue[Any]:
        """A value of these files; what it becomes is noted."""
        value: FileValue[bytes] = FileValue(
            "it", [(path, no_check) for path in paths], self._load, lambda: self.values.append(value())
        )
        return value

    def reloading(self, value: FileValue[Any], read_timeout: float = READ_TIMEOUT) -> Reloader:
        return Reloader(
            [value],
            self.clock,
            pause=self._pause,
            on_loaded=self.loaded.append,
            on_error=lambda _, error: self.trouble.append(str(error)),
            read_timeout=read_timeout,
        )

    async def _pause(self, _seconds: float) -> None:
        self.in_between()

    def _load(self, files: Sequence[bytes]) -> bytes:
        if b"broken" in files:
            raise UnusableAlone("this file is broken", remedy="Mend it.")
        if any(data == b"bad" for data in files) or len(set(files)) > 1:
            raise InvalidRequest("these files are at odds", remedy="Mend them.")
        return files[0]


async def test_what_changes_is_taken(tmp_path: Path) -> None:
    """Once, and not before it changes."""
    path = tmp_path / "file"
    bench = Bench(path)
    await bench.reloader.check()
    assert bench.loaded == []

    path.write_bytes(b"second")
    for _ in range(3):
        await bench.reloader.check()
    assert (bench.values, bench.loaded) == ([b"second"], ["it"])


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes swaps what it mounts."""
    path = tmp_path / "link"
    bench = Bench(tmp_path / "old")
    (tmp_path / "new").write_bytes(b"new")
    os.symlink(tmp_path / "old", path)
    reloader = bench.reloading(bench.loading(path))
    os.symlink(tmp_path / "new", tmp_path / "swap")
    (tmp_path / "swap").replace(path)
    await reloader.check()
    assert bench.values == [b"new"]


@pytest.mark.parametrize("spoil", ["bad", "absent", "huge", "directory"])
async def test_a_broken_file_changes_nothing_and_is_reported(tmp_path: Path, spoil: str) -> None:
    """At once, again each minute, and no more when it is mended."""
    path = tmp_path / "file"
    bench = Bench(path)
    match spoil:
        case "bad":
            path.write_bytes(b"bad")
        case "huge":
            path.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
        case "directory":
            path.unlink()
            path.mkdir()
        case _:
            path.unlink()
    for _ in range(10):
        await bench.reloader.check()
    assert (bench.values, len(bench.trouble)) == ([], 1)

    bench.clock.advance(REPEAT_INTERVAL)
    await bench.reloader.check()
    assert len(bench.trouble) == 2

    if path.is_dir():
        path.rmdir()
    path.write_bytes(b"good")
    await bench.reloader.check()
    assert (bench.values, len(bench.trouble)) == ([b"good"], 2)


async def test_another_reason_is_reported_at_once(tmp_path: Path) -> None:
    """An operator who fixes the first fault learns of the second, though the file could not be read either time."""
    path = tmp_path / "file"
    bench = Bench(path)
    path.unlink()
    await bench.reloader.check()
    path.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    for _ in range(3):
        await bench.reloader.check()

    first, second = bench.trouble
    assert "No such file" in first
    assert "larger than" in second


async def test_two_files_that_belong_together_may_be_written_one_after_the_other(tmp_path: Path) -> None:
    """A certificate and its key: what is at odds for a moment is no trouble; for long, it is."""
    one, other = tmp_path / "one", tmp_path / "other"
    bench = Bench(one, other)
    one.write_bytes(b"second")
    await bench.reloader.check()
    other.write_bytes(b"second")
    await bench.reloader.check()
    assert (bench.values, bench.trouble) == ([b"second"], [])

    one.write_bytes(b"third")
    for _ in range(PAIR_ATTEMPTS):
        await bench.reloader.check()
    assert len(bench.trouble) == 1


async def test_what_is_the_same_again_is_no_change(tmp_path: Path) -> None:
    """Files are touched and copied for many reasons."""
    path = tmp_path / "file"
    bench = Bench(path)
    path.unlink()
    path.write_bytes(b"first")
    await bench.reloader.check()
    assert bench.values == []


async def test_what_is_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    """Half a policy may well be a policy: a writer in place gets time to finish."""
    path = tmp_path / "file"
    bench = Bench(path)
    path.write_bytes(b"sec")
    bench.in_between = lambda: path.write_bytes(b"second")
    await bench.reloader.check()
    assert (bench.values, bench.trouble) == ([], [])

    await bench.reloader.check()
    assert bench.values == [b"second"]


async def test_a_change_between_loading_and_watching_is_a_change(tmp_path: Path) -> None:
    """A change is one from the bytes that were loaded, not from those that the reloader saw first."""
    path = tmp_path / "file"
    bench = Bench(path)
    path.write_bytes(b"second")
    await bench.reloading(bench.value).check()
    assert bench.values == [b"second"]


async def test_what_a_library_says_about_a_bad_file_is_not_repeated(tmp_path: Path) -> None:
    """Such texts quote what they did not understand, and that may be a secret."""
    path = tmp_path / "file"
    path.write_bytes(b"7")
    trouble: list[str] = []
    number: FileValue[Any] = FileValue("it", [(path, no_check)], lambda files: int(files[0]))
    reloader = Reloader(
        [number], ManualClock(), on_loaded=lambda _: None, on_error=lambda _, error: trouble.append(repr(error))
    )
    path.write_bytes(b"hunter2")
    await reloader.check()
    (told,) = trouble
    assert "cannot be parsed (ValueError)" in told
    assert "hunter2" not in told


async def test_a_disk_that_hangs_holds_up_no_call_for_ever(tmp_path: Path) -> None:
    """It keeps one thread, however often it is looked at, and what it says in the end is taken."""
    disk = threading.Event()
    disk.set()
    reads: list[None] = []

    class Hanging(type(Path())):  # type: ignore[misc] # which kind of path it is depends on the system
        def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
            reads.append(None)
            disk.wait()
            status: os.stat_result = super().stat(follow_symlinks=follow_symlinks)
            return status

    path = Hanging(tmp_path / "file")
    bench = Bench(tmp_path / "file")
    value = bench.loading(path)
    reloader = bench.reloading(value, read_timeout=0.05)
    reads.clear()
    disk.clear()
    path.write_bytes(b"second")
    for _ in range(3):
        await reloader.check()
    trouble = bench.trouble
    assert (len(reads), len(trouble)) == (1, 1)
    assert "was not read within 0.05 s" in trouble[0]

    disk.set()
    assert value.reading is not None
    await value.reading
    await reloader.check()
    assert bench.values == [b"second"]


@pytest.mark.parametrize("part", ["load", "apply", "on_loaded", "on_error", "on_tick"])
async def test_whatever_fails_the_other_files_are_looked_at(tmp_path: Path, part: str) -> None:
    """A fault of one is reported or told, and the next look comes."""
    faults: list[str] = []
    taken: list[bytes] = []

    def fails(*_: object) -> None:
        raise RuntimeError(part)

    def nothing(*_: object) -> None:
        """For the parts that are well."""

    def load(files: Sequence[bytes]) -> bytes:
        if part in ("load", "on_error") and files != [b"first"]:
            raise KeyError(part)
        return files[0]

    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"first")
    one: FileValue[Any] = FileValue("one", [(tmp_path / "one", no_check)], load, fails if part == "apply" else nothing)
    two: FileValue[Any] = FileValue(
        "two", [(tmp_path / "two", no_check)], lambda files: files[0], lambda: taken.append(two())
    )
    reloader = Reloader(
        [one, two],
        ManualClock(),
        on_loaded=fails if part == "on_loaded" else nothing,
        on_error=fails if part == "on_error" else nothing,
        on_tick=fails if part == "on_tick" else nothing,
        on_fault=lambda where, _: faults.append(where),
    )
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"second")
    await reloader.check()
    assert taken == [b"second"]
    assert bool(faults) == (part != "load")


async def test_one_broken_file_of_several_is_reported_at_once(tmp_path: Path) -> None:
    """The others cannot mend it: what they hold is not waited for."""
    bench = Bench(tmp_path / "one", tmp_path / "other")
    (tmp_path / "one").write_bytes(b"broken")
    await bench.reloader.check()
    assert bench.trouble == ["this file is broken"]
    await bench.reloader.check()
    assert len(bench.trouble) == 1
    assert bench.loaded == []
