"""Files that change while the program runs."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mintonce_server.core.errors import InvalidRequest
from mintonce_server.reload.reloading import MAX_BYTES, PATIENCE, SHOUT_EVERY, Definite, Reloader, Watched
from support.clocks import ManualClock


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
        watched = Watched("it", paths, self._load, self.values.append)
        self.reloader = Reloader(
            [watched],  # type: ignore[list-item] # of bytes is one of objects here: only this bench looks
            self.clock,
            pause=self._pause,
            loaded=self.loaded.append,
            trouble=lambda name, error: self.trouble.append(str(error)),
        )

    async def _pause(self, _seconds: float) -> None:
        self.in_between()

    def _load(self, files: Sequence[bytes]) -> bytes:
        if b"broken" in files:
            raise Definite("this file is broken", remedy="Mend it.")
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
    linked = Watched("it", [path], bench._load, bench.values.append)
    reloader = Reloader([linked], bench.clock, loaded=bench.loaded.append, trouble=lambda *_: None)  # type: ignore[list-item] # as above
    os.symlink(tmp_path / "new", tmp_path / "swap")
    (tmp_path / "swap").replace(path)
    await reloader.check()
    assert bench.values == [b"new"]


@pytest.mark.parametrize("spoil", ["bad", "absent", "huge", "directory"])
async def test_what_is_broken_changes_nothing_and_is_told(tmp_path: Path, spoil: str) -> None:
    """At once, again each minute, and no more when it is mended."""
    path = tmp_path / "file"
    bench = Bench(path)
    match spoil:
        case "bad":
            path.write_bytes(b"bad")
        case "huge":
            path.write_bytes(b"x" * (MAX_BYTES + 1))
        case "directory":
            path.unlink()
            path.mkdir()
        case _:
            path.unlink()
    for _ in range(10):
        await bench.reloader.check()
    assert (bench.values, len(bench.trouble)) == ([], 1)

    bench.clock.advance(SHOUT_EVERY)
    await bench.reloader.check()
    assert len(bench.trouble) == 2

    if path.is_dir():
        path.rmdir()
    path.write_bytes(b"good")
    await bench.reloader.check()
    assert (bench.values, len(bench.trouble)) == ([b"good"], 2)


async def test_another_reason_is_told_at_once(tmp_path: Path) -> None:
    """Whoever mends the first fault hears of the second, though the file could not be read either time."""
    path = tmp_path / "file"
    bench = Bench(path)
    path.unlink()
    await bench.reloader.check()
    path.write_bytes(b"x" * (MAX_BYTES + 1))
    for _ in range(3):
        await bench.reloader.check()

    first, second = bench.trouble
    assert "is no file" in first
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
    for _ in range(PATIENCE):
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
    """Half a policy may well be a policy: whoever writes in place is let finish."""
    path = tmp_path / "file"
    bench = Bench(path)
    path.write_bytes(b"sec")
    bench.in_between = lambda: path.write_bytes(b"second")
    await bench.reloader.check()
    assert (bench.values, bench.trouble) == ([], [])

    await bench.reloader.check()
    assert bench.values == [b"second"]


async def test_a_change_between_loading_and_watching_is_a_change(tmp_path: Path) -> None:
    """The program tells from what it was loaded, rather than that the file is read once more."""
    path = tmp_path / "file"
    bench = Bench(path)
    path.write_bytes(b"second")
    watched = Watched("it", [path], bench._load, bench.values.append, initial=[b"first"])
    reloader = Reloader([watched], bench.clock, loaded=bench.loaded.append, trouble=lambda *_: None)  # type: ignore[list-item] # as above
    await reloader.check()
    assert bench.values == [b"second"]


async def test_what_a_library_says_about_a_bad_file_is_not_repeated(tmp_path: Path) -> None:
    """Such texts quote what they did not understand, and that may be a secret."""
    path = tmp_path / "file"
    bench = Bench(path)
    trouble: list[str] = []
    watched = Watched("it", [path], lambda files: int(files[0]), lambda _: None)
    reloader = Reloader([watched], bench.clock, loaded=lambda _: None, trouble=lambda _, e: trouble.append(repr(e)))  # type: ignore[list-item] # as above
    path.write_bytes(b"hunter2")
    await reloader.check()
    (told,) = trouble
    assert "is not understood (ValueError)" in told
    assert "hunter2" not in told


async def test_a_disk_that_hangs_holds_up_nobody_for_ever(tmp_path: Path) -> None:
    """It keeps one thread, however often it is looked at, and what it says in the end is taken."""
    disk = threading.Event()
    reads: list[None] = []

    class Hanging(type(Path())):  # type: ignore[misc] # which kind of path it is depends on the system
        def is_file(self) -> bool:
            reads.append(None)
            disk.wait()
            return True

    bench = Bench(tmp_path / "file")
    trouble: list[str] = []
    watched = Watched("it", [Hanging(tmp_path / "file")], bench._load, bench.values.append, initial=[b"before"])
    reloader = Reloader(
        [watched],  # type: ignore[list-item] # as above
        bench.clock,
        read_deadline=0.05,
        loaded=lambda _: None,
        trouble=lambda _, error: trouble.append(str(error)),
    )
    for _ in range(3):
        await reloader.check()
    assert (len(reads), len(trouble)) == (1, 1)
    assert "was not read within 0.05 s" in trouble[0]

    disk.set()
    assert watched.reading is not None
    await watched.reading
    await reloader.check()
    assert bench.values == [b"first"]


@pytest.mark.parametrize("part", ["load", "apply", "loaded", "trouble", "besides"])
async def test_whatever_fails_the_other_files_are_looked_at(tmp_path: Path, part: str) -> None:
    """A fault of one is reported or told, and the next look comes."""
    faults: list[str] = []
    taken: list[bytes] = []

    def fails(*_: object) -> None:
        raise RuntimeError(part)

    def nothing(*_: object) -> None:
        """For the parts that are well."""

    def load(files: Sequence[bytes]) -> bytes:
        if part in ("load", "trouble"):
            raise KeyError(part)
        return files[0]

    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"first")
    one = Watched("one", [tmp_path / "one"], load, fails if part == "apply" else nothing)
    two = Watched("two", [tmp_path / "two"], lambda files: files[0], taken.append)
    reloader = Reloader(
        [one, two],  # type: ignore[list-item] # of bytes is one of objects here
        ManualClock(),
        loaded=fails if part == "loaded" else nothing,
        trouble=fails if part == "trouble" else nothing,
        besides=fails if part == "besides" else nothing,
        faults=lambda where, _: faults.append(where),
    )
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"second")
    await reloader.check()
    assert taken == [b"second"]
    assert bool(faults) == (part != "load")


async def test_one_broken_file_of_several_is_told_at_once(tmp_path: Path) -> None:
    """The others cannot mend it: what they hold is not waited for."""
    bench = Bench(tmp_path / "one", tmp_path / "other")
    (tmp_path / "one").write_bytes(b"broken")
    await bench.reloader.check()
    assert bench.trouble == ["this file is broken"]
    await bench.reloader.check()
    assert len(bench.trouble) == 1
    assert bench.loaded == []
