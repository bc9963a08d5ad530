"""Values that are loaded from files, and loaded again when the files change. An unusable change keeps the old value."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from mintonce_server.common.clock import Clock
from mintonce_server.common.files import FileError, read_file
from mintonce_server.core.errors import MintonceError

T = TypeVar("T")

INTERVAL: Final = 1.0
"""Seconds between two checks of all files."""
REPEAT_INTERVAL: Final = 60.0
"""Seconds between two reports about a file that stays unusable."""
READ_TIMEOUT: Final = 10.0
"""Seconds for reading files. Network disks may hang forever."""
SETTLE: Final = 0.02
"""Seconds after which a changed file is read again: a write in place is then finished, or noticed."""
PAIR_ATTEMPTS: Final = 3
"""Checks during which files that belong together may not match, because they are written one after the other."""

AccessCheck = Callable[[Path], None]
"""`require_private` for a secret, `require_not_writable` for anything else that controls access. Raises FileError."""
Load = Callable[[Sequence[bytes]], T]
"""From the bytes of the files to a value. Raises MintonceError, or anything else, whose text is not shown."""


class UnusableFile(MintonceError):
    """A file cannot be read, or its content cannot be used."""


class UnusableAlone(MintonceError):
    """One file is wrong by itself, whatever the files that belong to it contain. Reported at once."""


def ignore() -> None:
    """Default callback."""


class FileValue(Generic[T]):
    """The value of one or several files that belong together. Call it for the current value.

    `files`: each with its access check, which is repeated at each look: file modes change without the content.
    `on_change` is called after each change of the value.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[tuple[Path, AccessCheck]],
        load: Load[T],
        on_change: Callable[[], None] = ignore,
        *,
        may_be_absent: bool = False,
    ) -> None:
        """Loads the value. Raises MintonceError. `may_be_absent`: if no file exists, `load` gets an empty list."""
        self._may_be_absent = may_be_absent
        self.name = name
        self._files = tuple(files)
        self._load = load
        self._on_change = on_change
        self.reading: asyncio.Task[list[bytes]] | None = None
        """A read that is in progress. At most one: a hanging disk must not use up asyncio's threads."""
        content = self._read()
        self._value = self.load(content)
        self.loaded = digest_of(content)
        """Digest of the content that the value was loaded from."""
        self.loaded_at: float | None = None
        """When a change was loaded, on the monotonic clock. None: not since the start."""
        self.refused: MintonceError | None = None
        """Why the files' content is not in use."""

    def __call__(self) -> T:
        return self._value

    @property
    def has_several_files(self) -> bool:
        return len(self._files) > 1

    def load(self, content: Sequence[bytes]) -> T:
        """The value of this content. Raises MintonceError."""
        try:
            return self._load(content)
        except MintonceError:
            raise
        except Exception as error:  # noqa: BLE001 - raised below
            what = type(error).__name__
        # Outside of the handler: the text of such an error may quote the file.
        raise UnusableFile(f"{self._files[0][0]} cannot be parsed ({what})", remedy="Fix the file, or name another.")

    def replace(self, content: Sequence[bytes], value: T) -> None:
        """Use this value from now on."""
        self._value = value
        self._on_change()
        self.loaded = digest_of(content)

    async def read(self, within: float) -> list[bytes]:
        """The content of the files. Raises MintonceError."""
        if self.reading is None:
            self.reading = asyncio.create_task(asyncio.to_thread(self._read))
        done, _ = await asyncio.wait([self.reading], timeout=within)
        if not done:
            raise UnusableFile(
                f"{self._files[0][0]} was not read within {within:g} s",
                remedy="Check the disk. The value that was loaded before stays in use.",
            )
        reading, self.reading = self.reading, None
        return reading.result()

    def _read(self) -> list[bytes]:
        if self._may_be_absent and not any(path.exists() for path, _ in self._files):
            return []
        content = [_usable(read_file, path) for path, _ in self._files]
        for path, check in self._files:
            _usable(check, path)
        return content


class Reloader:
    """Looks after all values: checks their files every `interval` seconds."""

    def __init__(
        self,
        values: Sequence[FileValue[object]],
        clock: Clock,
        *,
        on_loaded: Callable[[str], None],
        on_error: Callable[[str, MintonceError], None],
        on_tick: Callable[[], None] = ignore,
        on_fault: Callable[[str, Exception], None] = lambda _, __: None,
        interval: float = INTERVAL,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """`on_loaded` and `on_error` get the name of a value. `on_tick` is called at each check.

        `on_fault` gets unexpected exceptions, with the name of the part that raised: the other values are checked
        all the same.
        """
        self._states = [(value, _Failures()) for value in values]
        self._clock = clock
        self._interval = interval
        self._pause = pause
        self._read_timeout = read_timeout
        self._on_loaded = on_loaded
        self._on_error = on_error
        self._on_tick = on_tick
        self._on_fault = on_fault
        self._check_now = asyncio.Event()

    def refused(self) -> Mapping[str, bool]:
        """For each value, by name: whether its files cannot be used as they are now."""
        return {value.name: failures.count > 0 for value, failures in self._states}

    def check_now(self) -> None:
        """Do not wait for the next interval."""
        self._check_now.set()

    async def run(self) -> None:
        """Endless."""
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._check_now.wait()
            except TimeoutError:
                pass  # the interval is over
            self._check_now.clear()
            await self.check()

    async def check(self) -> None:
        """Check once."""
        try:
            self._on_tick()
        except Exception as error:  # noqa: BLE001 - reported
            self._on_fault("reloading", error)
        for value, failures in self._states:
            try:
                await self._check(value, failures)
            except Exception as error:  # noqa: BLE001 - reported
                self._on_fault(f"reloading {value.name}", error)

    async def _check(self, value: FileValue[object], failures: "_Failures") -> None:
        digest = b"absent"
        try:
            content = await value.read(self._read_timeout)
            if digest_of(content) == value.loaded:
                failures.count = 0
                value.refused = None
                return
            if not await self._has_settled(value, content):
                return
            digest = digest_of(content)
            new = value.load(content)
        except MintonceError as error:
            if failures.is_due(value, digest, error, self._clock.monotonic()):
                value.refused = error
                self._on_error(value.name, error)
            return
        value.replace(content, new)
        value.loaded_at, value.refused = self._clock.monotonic(), None
        failures.count = 0
        self._on_loaded(value.name)

    async def _has_settled(self, value: FileValue[object], content: Sequence[bytes]) -> bool:
        """Whether the content is the same a moment later. Half of a policy may be a valid policy."""
        await self._pause(SETTLE)
        return await value.read(self._read_timeout) == content


class _Failures:
    """Decides which failures of a value are reported."""

    def __init__(self) -> None:
        self.count = 0
        self._last = b""
        self._reported_at = float("-inf")

    def is_due(self, value: FileValue[object], digest: bytes, error: MintonceError, now: float) -> bool:
        """Count a failure. A single file is reported at once; a pair may be half written."""
        # Another reason is a new failure: an operator who fixed the first one needs to see the second.
        failure = digest + str(error).encode(errors="replace")
        self.count = 1 if failure != self._last else self.count + 1
        self._last = failure
        first = PAIR_ATTEMPTS if value.has_several_files and not isinstance(error, UnusableAlone) else 1
        if self.count == first or (self.count > PAIR_ATTEMPTS and now - self._reported_at >= REPEAT_INTERVAL):
            self._reported_at = now
            return True
        return False


def digest_of(content: Sequence[bytes]) -> bytes:
    """One digest of the content of several files."""
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in content)).digest()


def _usable(act: Callable[[Path], T], path: Path) -> T:
    try:
        return act(path)
    except FileError as error:
        raise UnusableFile(f"{path} {error}", remedy=error.remedy) from error
