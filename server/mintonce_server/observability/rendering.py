"""From an event to one line of text. Nothing in an event can begin a second line or command a terminal."""

import json
import re
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TypeAlias

ExceptionInfo: TypeAlias = (
    BaseException
    | tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None]
    | bool
    | None
)

MAX_EXCEPTION: Final = 16_000
MAX_EXCEPTION_LINE: Final = 500
"""Characters of a traceback, and of each of its lines."""

# What needs no quotes. Spaces are taken in event texts only.
_WORD = re.compile(r"[\w./:@+\[\]…-]+")
_SENTENCE = re.compile(r"[\w./:@+\[\]…,;()' -]+")


def timestamp(unix: float) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def exception_text(info: ExceptionInfo) -> str | None:
    """The traceback, bounded, never with the values of local variables. None when there is no exception."""
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if not isinstance(error, BaseException):
        return None
    try:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format()).rstrip()
    except Exception as failure:  # noqa: BLE001 - a __str__ that raises, or causes nested too deep to print
        return f"{type(error).__name__} (its traceback cannot be printed: {type(failure).__name__})"
    return _bounded(text)


def _bounded(text: str) -> str:
    """Long lines and long texts without their middle: an exception may quote what a peer sent."""
    text = "\n".join(_without_middle(line, MAX_EXCEPTION_LINE) for line in text.split("\n"))
    return _without_middle(text, MAX_EXCEPTION)


def _without_middle(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit // 4]} … {text[-(limit - limit // 4) :]}"


Mask: TypeAlias = Callable[[str], str]


def as_json(event: dict[str, object], names: dict[str, object], mask: Mask) -> str:
    """One JSON object, in ASCII. `mask`: for the line without the fields of `names`, which come last."""
    line = mask(one_line(json.dumps(event, default=repr)))
    return f"{line[:-1]}, {one_line(json.dumps(names))[1:]}" if names else line


def as_console(event: dict[str, object], names: dict[str, object], mask: Mask) -> str:
    """For people: time, level, what happened, and the rest as name=value; `names` and `mask` as in `as_json`."""
    rest = dict(event)
    when, level, what = rest.pop("timestamp", ""), rest.pop("level", ""), str(rest.pop("event", ""))
    what = what if _SENTENCE.fullmatch(what) else json.dumps(what, ensure_ascii=False)
    line = one_line(
        " ".join([f"{when} {level:<7} {what}", *(f"{name}={_word(value)}" for name, value in rest.items())])
    )
    return " ".join([mask(line), *(one_line(f"{name}={_word(value)}") for name, value in names.items())])


def one_line(text: str) -> str:
    """The text with all that is not printable (line breaks, escape sequences, direction marks) as \\uXXXX."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _word(value: object) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, default=repr)


def _escape(char: str) -> str:
    # As JSON does beyond 16 bits: a pair of surrogates.
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"
