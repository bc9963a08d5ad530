"""Files that are replaced while we use them: read again, and the last good value kept."""

import hashlib
import logging
import os
import stat
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic, TypeVar

from mintonce._misplaced import looks_secret
from mintonce.errors import Refused

LOOK_EVERY: Final = 1.0
"""Seconds. Content is compared, not times: symlinks that Kubernetes swaps, and clocks, cannot mislead it."""

LARGEST: Final = 1 << 20
"""Bytes. The bundle of all public authorities takes a quarter of it."""

_log = logging.getLogger("mintonce")

T = TypeVar("T")


class FileFault(Exception):
    """A file cannot be used. The text names the file and never shows what is in it."""


class Watched(Generic[T]):
    """A value loaded from files, loaded again when their content changes. Thread-safe.

    Nothing watches in the background: who asks for the value looks, at most once a second. The first load raises
    Refused; a later one that fails keeps the value and warns once, and again only when the fault is another one.
    """

    def __init__(
        self,
        paths: tuple[str, ...],
        load: Callable[[tuple[bytes, ...]], T],
        remedy: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._paths = paths
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._fault = ""
        self._digest: bytes = b""
        self._look_at = clock() + LOOK_EVERY
        fault = None
        try:
            contents = tuple(read(path) for path in paths)
            self._value = load(contents)
            self._digest = _digest(contents)
        except FileFault as error:
            fault = str(error)
        if fault is not None:
            raise Refused(fault, reason="CREDENTIALS", remedy=remedy)

    def current(self) -> T:
        """The value. Reads the files when the last look is a second old."""
        if self._clock() >= self._look_at:
            with self._lock:
                if self._clock() >= self._look_at:  # no other thread has just done so
                    self._look()
                    self._look_at = self._clock() + LOOK_EVERY
        return self._value

    def after_fork(self) -> None:
        """In a child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _look(self) -> None:
        try:
            contents = tuple(read(path) for path in self._paths)
            digest = _digest(contents)
            if digest != self._digest:
                self._value, self._digest = self._load(contents), digest
        except FileFault as error:
            fault = str(error)
            if fault != self._fault:
                _log.warning("%s; going on with what was there before", fault)
            self._fault = fault
        else:
            self._fault = ""


def read(path: str) -> bytes:
    """Raises FileFault. A regular file only: reading any other may wait forever, or not work twice."""
    if looks_secret(path):
        raise FileFault("what was given as a path is not a path: give the name of a file")
    fault = ""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                fault = "is not a regular file"
            else:
                content = file.read(LARGEST + 1)
                if len(content) <= LARGEST:
                    return content
                fault = f"has more than {LARGEST} bytes"
    except OSError as error:
        fault = f"cannot be read: {error.strerror or type(error).__name__}"
    raise FileFault(f"{path} {fault}")


def _digest(contents: tuple[bytes, ...]) -> bytes:
    # No secret is kept for the comparison alone. Lengths first: moving bytes from one file to the next is a change.
    lengths = ",".join(str(len(each)) for each in contents)
    return hashlib.sha256(lengths.encode() + b":" + b"".join(contents)).digest()
