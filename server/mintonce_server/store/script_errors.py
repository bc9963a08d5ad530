"""Errors of scripts on Redis 6.2, which puts the answer of a command in a script into a text of its own.

Newer servers give the same answer as for the command alone. What depends on it (a primary that has become a replica is
looked for elsewhere, for example) must not depend on the server's age.
"""

import re
from typing import Final

from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, ResponseError

_WRAPPED: Final = re.compile(
    r"Error running script \(call to f_[0-9a-f]{40}\): @user_script:\d+: @user_script: ?\d+: -?"
)
_CLASSES: Final[dict[str, type[ResponseError]]] = {
    "MASTERDOWN": MasterDownError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
}


def is_wrong_type(error: object) -> bool:
    """Whether the server says that a key holds a value of another kind than the command is for."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE ")


def unwrapped(error: ResponseError) -> ResponseError:
    """The answer of the command in the script, of redis-py's class for it. Any other error stays as it is."""
    text = str(error)
    if (found := _WRAPPED.match(text)) is None:
        return error
    answer = text[found.end() :]
    code, _, rest = answer.partition(" ")
    return _CLASSES[code](rest) if code in _CLASSES else ResponseError(answer)
