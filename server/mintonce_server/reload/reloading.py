"""Reads files anew when they change, and keeps what was good when the new is not."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

from mintonce_server.core.errors import MintonceError
from mintonce_server.core.ports import Clock

T = TypeVar("T")

MAX_BYTES: Final = 1 << 20
SHOUT_EVERY: Final = 60.0
"""Seconds between complaints about a file that stays broken."""
READ_DEADLINE: Final = 10.0
"""Seconds that a disk may take to answer. There are disks that hang for ever, such as those of another machine."""
SETTLE: Final = 0.02
"""Seconds after which what has changed is read once more: whoever writes in place is then done, or seen at it."""
PATIENCE: Final = 3
"""Looks that several files which belong together may be at odds, because they are written one after the other."""


class Unreadable(MintonceError):
    """A file cannot be read."""


class Unusable(MintonceError):
    """What is in a file is not understood."""


class Definite(MintonceError):
    """It is one file that is wrong, whatever the others which belong to it will be: told at once."""


@dataclass(slots=True)
class Watched(Generic[T]):
    """Files that make one value.

    Attributes:
        load: from the files' bytes to the value; raises MintonceError, or anything else, whose text is not shown.
        apply: takes the new value in place of the old one.
        initial: what the value that is in place now was made of. Else the files are read here: whatever was written
            in between is then taken for known.
        check: raises MintonceError while others can get at the files. Called at each look: a mode changes by itself.
    """

    name: str
    paths: Sequence[Path]
    load: Callable[[Sequence[bytes]], T]
    apply: Callable[[T], None]
    initial: InitVar[Sequence[bytes] | None] = None
    check: Callable[[], None] = lambda: None
    seen: bytes = field(default=b"", repr=False)
    """Digest of what was loaded last."""
    refused: bytes = field(default=b"", repr=False)
    failures: int = 0
    shouted_at: float = float("-inf")
    reading: "asyncio.Task[list[bytes]] | None" = field(default=None, repr=False)

    def __post_init__(self, initial: Sequence[bytes] | None) -> None:
        try:
            self.seen = _digest(_read(self.paths) if initial is None else initial)
        except Unreadable:
            self.seen = b""

    async def read(self, deadline: float) -> list[bytes]:
        """The files' bytes. Raises Unreadable, and what `check` raises.

        A disk that hangs keeps one thread, not one more with each look: they are the threads that all of asyncio uses.
        """
        if self.reading is None:
            self.reading = asyncio.create_task(asyncio.to_thread(self._read))
        done, _ = await asyncio.wait([self.reading], timeout=deadline)
        if not done:
            raise Unreadable(
                f"{self.paths[0]} was not read within {deadline:g} s",
                remedy="Look after the disk; what was loaded before goes on.",
            )
        reading, self.reading = self.reading, None
        return reading.result()

    def _read(self) -> list[bytes]:
        files = _read(self.paths)
        self.check()
        return files

    def loaded_from(self, files: Sequence[bytes]) -> T:
        """Raises MintonceError."""
        try:
            return self.load(files)
        except MintonceError:
            raise
        except Exception as error:  # noqa: BLE001 - raised below
            what = type(error).__name__
        # Outside of the handler: the text of such an error likes to quote the file.
        raise Unusable(f"{self.paths[0]} is not understood ({what})", remedy="Mend it; what was loaded before goes on.")


class Reloader:
    """Looks at all watched files every `interval` seconds."""

    def __init__(
        self,
        watched: Sequence[Watched[object]],
        clock: Clock,
        *,
        interval: float = 1.0,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        read_deadline: float = READ_DEADLINE,
        loaded: Callable[[str], None],
        trouble: Callable[[str, MintonceError], None],
        besides: Callable[[], None] = lambda: None,
        faults: Callable[[str, Exception], None] = lambda _, __: None,
    ) -> None:
        """`loaded` and `trouble` are told the name of the watched; `besides` is done at each look, too.

        `faults` gets what else is raised, with the name of what was looked at: the others are looked at all the same.
        """
        self._watched = watched
        self._clock = clock
        self._interval = interval
        self._pause = pause
        self._read_deadline = read_deadline
        self._loaded = loaded
        self._trouble = trouble
        self._besides = besides
        self._faults = faults
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Look now."""
        self._poked.set()

    async def run(self) -> None:
        """Endless."""
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._poked.wait()
            except TimeoutError:
                pass  # nobody poked: it is time all the same
            self._poked.clear()
            await self.check()

    async def check(self) -> None:
        """Look once."""
        try:
            self._besides()
        except Exception as error:  # noqa: BLE001 - reported
            self._faults("reloading", error)
        for watched in self._watched:
            try:
                await self._check(watched)
            except Exception as error:  # noqa: BLE001 - reported
                self._faults(f"reloading {watched.name}", error)

    async def _check(self, watched: Watched[object]) -> None:
        digest = b"absent"
        try:
            files = await watched.read(self._read_deadline)
            if _digest(files) == watched.seen:
                watched.failures = 0
                return
            if (settled := await self._settled(watched, files)) is None:
                return
            digest = _digest(settled)
            value = watched.loaded_from(settled)
        except MintonceError as error:
            # Another reason is news, too: whoever mended the first one would else wait in vain for a word.
            self._failed(watched, digest + str(error).encode(errors="replace"), error)
            return
        watched.apply(value)
        watched.seen, watched.failures = digest, 0
        self._loaded(watched.name)

    async def _settled(self, watched: Watched[object], files: Sequence[bytes]) -> Sequence[bytes] | None:
        """The same again a moment later; None when somebody is writing. Half a policy may well be a policy."""
        await self._pause(SETTLE)
        again = await watched.read(self._read_deadline)
        return again if again == files else None

    def _failed(self, watched: Watched[object], digest: bytes, error: MintonceError) -> None:
        now = self._clock.monotonic()
        news = digest != watched.refused
        watched.failures = 1 if news else watched.failures + 1
        watched.refused = digest
        # One broken file is told at once; a pair may be half written just now.
        told = watched.failures == (PATIENCE if len(watched.paths) > 1 and not isinstance(error, Definite) else 1)
        if told or (watched.failures > PATIENCE and now - watched.shouted_at >= SHOUT_EVERY):
            watched.shouted_at = now
            self._trouble(watched.name, error)


def _read(paths: Sequence[Path]) -> list[bytes]:
    return [_read_one(path) for path in paths]


def _read_one(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise Unreadable(f"{path} is no file", remedy="Write it anew; what was loaded before goes on.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}", remedy="Let the server read it.") from error
    if len(data) > MAX_BYTES:
        raise Unreadable(f"{path} is larger than {MAX_BYTES} bytes", remedy="Is that the right file?")
    return data


def _digest(files: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in files)).digest()
