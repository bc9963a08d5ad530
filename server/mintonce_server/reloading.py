"""Reads files anew when they change, and keeps what was good when the new is not."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

from mintonce_server.core.errors import MintonceError
from mintonce_server.core.ports import Clock

T = TypeVar("T")

MAX_BYTES: Final = 1 << 20
SHOUT_EVERY: Final = 60.0
"""Seconds between complaints about a file that stays broken."""
PATIENCE: Final = 3
"""Looks that several files which belong together may be at odds, because they are written one after the other."""


class Unreadable(MintonceError):
    """A file cannot be read."""


@dataclass(slots=True)
class Watched(Generic[T]):
    """Files that make one value.

    Attributes:
        load: from the files' bytes to the value; raises MintonceError.
        apply: takes the new value in place of the old one.
    """

    name: str
    paths: Sequence[Path]
    load: Callable[[Sequence[bytes]], T]
    apply: Callable[[T], None]
    seen: bytes = field(default=b"", repr=False)
    """Digest of what was loaded last."""
    refused: bytes = field(default=b"", repr=False)
    failures: int = 0
    shouted_at: float = float("-inf")

    def __post_init__(self) -> None:
        try:
            self.seen = _digest(_read(self.paths))
        except Unreadable:
            self.seen = b""


class Reloader:
    """Looks at all watched files every `interval` seconds."""

    def __init__(
        self,
        watched: Sequence[Watched[object]],
        clock: Clock,
        *,
        interval: float = 1.0,
        loaded: Callable[[str], None],
        trouble: Callable[[str, MintonceError], None],
        besides: Callable[[], None] = lambda: None,
    ) -> None:
        """`loaded` and `trouble` are told the name of the watched; `besides` is done at each look, too."""
        self._watched = watched
        self._clock = clock
        self._interval = interval
        self._loaded = loaded
        self._trouble = trouble
        self._besides = besides
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
        self._besides()
        for watched in self._watched:
            await self._check(watched)

    async def _check(self, watched: Watched[object]) -> None:
        digest = b"absent"
        try:
            files = await asyncio.to_thread(_read, watched.paths)
            digest = _digest(files)
            if digest == watched.seen:
                watched.failures = 0
                return
            value = watched.load(files)
        except MintonceError as error:
            self._failed(watched, digest, error)
            return
        watched.apply(value)
        watched.seen, watched.failures = digest, 0
        self._loaded(watched.name)

    def _failed(self, watched: Watched[object], digest: bytes, error: MintonceError) -> None:
        now = self._clock.monotonic()
        news = digest != watched.refused
        watched.failures = 1 if news else watched.failures + 1
        watched.refused = digest
        # One broken file is told at once; a pair may be half written just now.
        told = watched.failures == (PATIENCE if len(watched.paths) > 1 else 1)
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
