"""Types of arguments, for argparse: their errors name what is accepted. Durations are written as 90, 5m or 1h30m."""

import argparse
import re
from typing import Final

from mintonce import _sendable

_DIGITS: Final = 19
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST: Final = _sendable.LONGEST // 86400
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def count(text: str) -> int:
    return _whole(text, "must be a whole number above 0")


def generation(text: str) -> int:
    return _whole(text, f"must be a whole number from 1 to {_sendable.LARGEST_GENERATION}")


def utf8(text: str) -> str:
    """Text that a message can hold. Other bytes come from the command line as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        pass  # raised below
    else:
        return text
    raise argparse.ArgumentTypeError("is not UTF-8: write it in UTF-8")


def duration(text: str) -> float:
    """Seconds. For argparse: its error names what is accepted."""
    seconds = _seconds(text)
    if seconds > _sendable.LONGEST:
        raise argparse.ArgumentTypeError(f"is too long: write at most {_LONGEST}d")
    return seconds


def positive_duration(text: str) -> float:
    """As `duration`, but not zero: a call without time cannot succeed."""
    result = duration(text)
    if result <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return result


def shown(seconds: float) -> str:
    """The two largest units, rounded down: 23h59m, 4m10s, 12s. Less than a second, or over: 0s."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def _whole(text: str, accepted: str) -> int:
    number = int(text) if text.isdecimal() and len(text) <= _DIGITS else 0
    if not 1 <= number <= _sendable.LARGEST_GENERATION:
        raise argparse.ArgumentTypeError(accepted)
    return number


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration: write 90, 90s, 5m, 1h30m or 250ms")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
