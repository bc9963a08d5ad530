"""Text from outside, made fit for logs, errors and terminals."""

import re
from typing import Final

_NOT_PRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_CUT: Final = "..."


def printable(text: str, limit: int) -> str:
    """The text in printable ASCII, all else as escapes, cut to `limit` characters: what was cut ends with dots."""
    # The first cut bounds the work: an escape never makes a text shorter.
    escaped = _NOT_PRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text[: limit + 1])
    return escaped if len(escaped) <= limit else escaped[: limit - len(_CUT)] + _CUT
