"""Writes log lines to stderr without ever waiting for its reader.

A pipe whose reader stands still fills up. A write to it then waits without end, and all calls and probes with it.
"""

import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Final, TextIO

from mintonce_server.core.ports import Clock

PATIENCE: Final = 0.1
"""Seconds that a full pipe may take to have room again: its reader may only be slow for a moment."""
PATIENT_EVERY: Final = 10.0
"""Seconds between two such waits. In between, a full pipe costs lines, and no time."""
CHUNK: Final = select.PIPE_BUF
"""A pipe with room takes so many bytes at once, without a wait."""

Notice = Callable[[int], str]
"""The line that says how many were lost."""


class Outlet:
    """Use it from one thread at a time."""

    def __init__(self, stream: TextIO | None, clock: Clock) -> None:
        """`stream`: None for what is stderr at each write."""
        self._stream = stream
        self._clock = clock
        self._rest = b""
        self._lost = 0
        self._patient_at = float("-inf")

    def write(self, line: str, notice: Notice) -> None:
        """Write a line, or count it as lost. Raises OSError or ValueError when the stream is closed."""
        stream = self._stream or sys.stderr
        descriptor = _descriptor_of(stream)
        if descriptor is None:
            stream.write(f"{line}\n")
            stream.flush()
            return
        # Half a line must not swallow the next one: its rest comes first.
        if not self._write_some(descriptor):
            self._lost += 1
            return
        text = f"{notice(self._lost)}\n{line}\n" if self._lost else f"{line}\n"
        if not self._has_room(descriptor):
            self._lost += 1
            return
        self._lost = 0
        self._rest = text.encode(errors="backslashreplace")
        self._write_some(descriptor)

    def _write_some(self, descriptor: int) -> bool:
        """Write what is left over. Whether nothing is any more."""
        while self._rest and self._has_room(descriptor):
            self._rest = self._rest[os.write(descriptor, self._rest[:CHUNK]) :]
        return not self._rest

    def _has_room(self, descriptor: int) -> bool:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if poll.poll(0):
            return True
        now = self._clock.monotonic()
        if now - self._patient_at < PATIENT_EVERY:
            return False
        self._patient_at = now
        return bool(poll.poll(PATIENCE * 1000))


def _descriptor_of(stream: TextIO) -> int | None:
    """Of a stream that may have to be waited for: a pipe or a socket. A file is always ready."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):  # in memory, or closed
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
