"""What may stand in a message of mintonce.v1. What may not is refused here, as the server would refuse it."""

import math
from datetime import timedelta
from typing import Final

import grpc

from mintonce.errors import Refused

LARGEST_GENERATION: Final = (1 << 63) - 1
LARGEST_PAGE_SIZE: Final = (1 << 31) - 1
LONGEST: Final = 315_576_000_000
"""Seconds of a google.protobuf.Duration: ten thousand years."""


def text(what: str, value: str) -> str:
    """The value, if it is one in UTF-8. What came out of bytes that are not has surrogates in it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        pass  # raised below, without the value
    else:
        return value
    raise _refused(f"the {what} is not text in UTF-8", f"Write the {what} as UTF-8.")


def whole(what: str, value: int, largest: int) -> int:
    """A number that its field can hold. Whether it makes sense, the server says."""
    if -largest - 1 <= value <= largest:
        return value
    raise _refused(f"the {what} is out of range", f"Give a whole number up to {largest}.")


def span(what: str, value: float | timedelta) -> timedelta:
    """A length of time that its field can hold."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if math.isfinite(seconds) and abs(seconds) <= LONGEST:
        return value if isinstance(value, timedelta) else timedelta(seconds=seconds)
    raise _refused(f"the {what} is out of range", f"Give at most {LONGEST} seconds.")


def _refused(message: str, remedy: str) -> Refused:
    return Refused(message, reason="INVALID_REQUEST", remedy=remedy, code=grpc.StatusCode.INVALID_ARGUMENT)
