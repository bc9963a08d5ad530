"""Types of command-line arguments, for argparse: their errors say what is accepted."""

import argparse
from typing import Final

MAX_SECONDS: Final = 10 * 365 * 86400.0
_MAX_PORT: Final = 65535


def port(text: str) -> int:
    """A TCP port; 0: any free one."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_PORT)) and int(text) <= _MAX_PORT):
        raise argparse.ArgumentTypeError(f"write a port: a whole number from 0 to {_MAX_PORT}")
    return int(text)


def seconds(text: str) -> float:
    """Zero or more, up to ten years."""
    number = _number(text)
    if not 0 <= number <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"write seconds: a number from 0 to {MAX_SECONDS:.0f}")
    return number


def positive_seconds(text: str) -> float:
    """Seconds, more than zero."""
    number = _number(text)
    if not 0 < number <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"write seconds: a number above 0, up to {MAX_SECONDS:.0f}")
    return number


def _number(text: str) -> float:
    """NaN, which is in no range, if it is not a number."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
