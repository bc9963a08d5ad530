"""What `mintonce` reads from standard input."""

import re
import sys
from typing import Final

_LONGEST: Final = 1 << 20
_TOKEN: Final = re.compile(rb"[\x20-\x7e]+")  # RFC 6749, appendix A.12


class NoToken(Exception):
    """There is none to be read. The text shows nothing of what came."""


def token() -> bytes:
    """The first line, alone or behind `Bearer`. Raises NoToken.

    Not by an argument: other users of the host see those.
    """
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] # as Python has it when it is closed: <&-
        raise NoToken("standard input is closed")
    try:
        text = sys.stdin.buffer.readline(_LONGEST).strip().removeprefix(b"Bearer ").strip()
    except OSError as error:
        raise NoToken(f"standard input cannot be read: {error.strerror or type(error).__name__}") from error
    if not _TOKEN.fullmatch(text):
        raise NoToken(f"standard input holds {'no access token' if text else 'nothing'} in its first line")
    return text
