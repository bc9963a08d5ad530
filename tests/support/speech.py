"""Where a message ends, in the two languages that a fault proxy understands."""

from collections.abc import Callable
from typing import Final

Speech = Callable[[bytes], int | None]
"""(what has come so far) → the length of its first whole message; None: not all of it is there."""

CRLF: Final = b"\r\n"


def http(buffer: bytes) -> int | None:
    """HTTP is passed as it comes: only where a message begins matters."""
    return len(buffer) or None


def resp(buffer: bytes) -> int | None:
    """A value of RESP2, the language of Redis."""
    return _end(buffer, 0)


def words_of(frame: bytes) -> tuple[bytes, ...]:
    """A command's words, the first in capitals. Of anything else, its first word."""
    if not frame.startswith(b"*"):
        return (frame[:16].split(b" ")[0].upper(),)
    words: list[bytes] = []
    at = frame.index(CRLF) + 2
    while at < len(frame):
        line_end = frame.index(CRLF, at)
        length = int(frame[at + 1 : line_end])
        words.append(frame[line_end + 2 : line_end + 2 + length])
        at = line_end + 2 + length + 2
    return (words[0].upper(), *words[1:]) if words else ()


def _end(buffer: bytes, at: int) -> int | None:
    line_end = buffer.find(CRLF, at)
    if line_end < 0:
        return None
    kind, size = buffer[at : at + 1], buffer[at + 1 : line_end]
    after = line_end + 2
    if kind == b"$":
        after += int(size) + 2 if int(size) >= 0 else 0
        return after if after <= len(buffer) else None
    if kind == b"*":
        for _ in range(int(size)):
            end = _end(buffer, after)
            if end is None:
                return None
            after = end
    return after
