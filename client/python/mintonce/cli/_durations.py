"""Durations as people write them: 90, 90s, 5m, 1h30m, 250ms."""

import argparse
import re
from typing import Final

from mintonce import _sendable

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST: Final = _sendable.LONGEST // 86400
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def duration(text: str) -> float:
    """Seconds. For argparse: its error names what is accepted."""
    seconds = _seconds(text)
    if seconds > _sendable.LONGEST:
        raise argparse.ArgumentTypeError(f"is too long: write at most {_LONGEST}d")
    return seconds


def _seconds(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration: write 90, 90s, 5m, 1h30m or 250ms")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


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
