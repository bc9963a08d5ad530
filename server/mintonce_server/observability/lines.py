"""Log lines: from an event to one line of text, and to stderr without ever waiting for its reader.

Nothing in an event can start a second line or control a terminal. If the reader of stderr stands still, the pipe fills
up; a blocking write would then block all calls and health probes.
"""

import json
import os
import re
import select
import stat
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TextIO, TypeAlias, cast

from structlog.processors import JSONRenderer
from structlog.typing import EventDict, ExcInfo

from mintonce_server.common.clock import Clock
from mintonce_server.observability.redaction import NAMES

MAX_EXCEPTION: Final = 16_000
MAX_EXCEPTION_LINE: Final = 500
"""Characters of a traceback, and of each of its lines."""

PIPE_TIMEOUT: Final = 0.1
"""Seconds that a full pipe may take to have room again: its reader may only be slow for a moment."""
PIPE_WAIT_INTERVAL: Final = 10.0
"""Seconds between two such waits. In between, a full pipe costs lines, and no time."""
CHUNK: Final = select.PIPE_BUF
"""A pipe with room takes this many bytes at once, without blocking."""

# What needs no quotes. Spaces are accepted in event texts only.
_WORD = re.compile(r"[\w./:@+\[\]…-]+")
_SENTENCE = re.compile(r"[\w./:@+\[\]…,;()' -]+")
_JSON: Final = JSONRenderer(default=repr)

Mask: TypeAlias = Callable[[str], str]
"""Masks secrets in a rendered line."""

Notice: TypeAlias = Callable[[int], str]
"""The line that says how many lines were lost."""


def timestamp(unix: float) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    whole = int(unix)
    return f"{_second(whole)}.{int((unix - whole) * 1000):03d}Z"


@lru_cache(2)
def _second(unix: int) -> str:
    """Cached: every line has the time, and most come within a second of another."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def exception_text(exc_info: ExcInfo) -> str:
    """The traceback, bounded, never with the values of local variables. For structlog's ExceptionRenderer."""
    error = exc_info[1]
    try:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format()).rstrip()
    except Exception as failure:  # noqa: BLE001 - a __str__ that raises, or causes nested too deep to print
        return f"{type(error).__name__} (its traceback cannot be printed: {type(failure).__name__})"
    # An exception may quote what a peer sent.
    text = "\n".join(_without_middle(line, MAX_EXCEPTION_LINE) for line in text.split("\n"))
    return _without_middle(text, MAX_EXCEPTION)


def as_json(event: EventDict, mask: Mask) -> str:
    """One JSON object, in ASCII. The fields of NAMES come last, and are not masked."""
    rest, names = _split_names(event)
    line = mask(one_line(cast("str", _JSON(None, "", rest))))
    return f"{line[:-1]}, {one_line(cast('str', _JSON(None, '', names)))[1:]}" if names else line


def as_console(event: EventDict, mask: Mask) -> str:
    """For people: time, level, event, and the rest as name=value. The fields of NAMES come last, and are not masked."""
    rest, names = _split_names(event)
    when, level, what = rest.pop("timestamp", ""), rest.pop("level", ""), str(rest.pop("event", ""))
    what = what if _SENTENCE.fullmatch(what) else json.dumps(what, ensure_ascii=False)
    line = one_line(" ".join([f"{when} {level:<7} {what}", *_words(rest)]))
    return " ".join([mask(line), *map(one_line, _words(names))])


def one_line(text: str) -> str:
    """The text with everything that is not printable (line breaks, escape sequences, direction marks) as \\uXXXX."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


class Outlet:
    """Writes lines to a stream. Use it from one thread at a time."""

    def __init__(self, stream: TextIO | None, clock: Clock) -> None:
        """`stream`: None for what is stderr at the time of each write."""
        self._stream = stream
        self._clock = clock
        self._rest = b""
        self._lost = 0
        self._waited_at = float("-inf")

    def write(self, line: str, notice: Notice) -> None:
        """Write a line, or count it as lost. Raises OSError or ValueError if the stream is closed."""
        stream = self._stream or sys.stderr
        descriptor = _descriptor_of(stream)
        if descriptor is None:
            stream.write(f"{line}\n")
            stream.flush()
            return
        # The rest of a half-written line comes first.
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
        """Write what is left. Whether all of it is written."""
        while self._rest and self._has_room(descriptor):
            self._rest = self._rest[os.write(descriptor, self._rest[:CHUNK]) :]
        return not self._rest

    def _has_room(self, descriptor: int) -> bool:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if poll.poll(0):
            return True
        now = self._clock.monotonic()
        if now - self._waited_at < PIPE_WAIT_INTERVAL:
            return False
        self._waited_at = now
        return bool(poll.poll(PIPE_TIMEOUT * 1000))


def _split_names(event: EventDict) -> tuple[dict[str, object], dict[str, object]]:
    rest = {name: value for name, value in event.items() if name not in NAMES}
    return rest, {name: value for name, value in event.items() if name in NAMES}


def _words(fields: Mapping[str, object]) -> list[str]:
    return [f"{name}={_word(value)}" for name, value in fields.items()]


def _word(value: object) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, default=repr)


def _escape(char: str) -> str:
    # Like JSON beyond 16 bits: a pair of surrogates.
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def _without_middle(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit // 4]} … {text[-(limit - limit // 4) :]}"


def _descriptor_of(stream: TextIO) -> int | None:
    """The descriptor of a stream that may block: a pipe or a socket. A file is always ready."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):  # in memory, or closed
        return None
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
