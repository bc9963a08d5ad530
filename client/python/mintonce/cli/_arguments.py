"""What an argument may be. For argparse: its errors name what is accepted."""

import argparse
from typing import Final

from mintonce import _sendable

_DIGITS: Final = 19


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


def _whole(text: str, accepted: str) -> int:
    number = int(text) if text.isdecimal() and len(text) <= _DIGITS else 0
    if not 1 <= number <= _sendable.LARGEST_GENERATION:
        raise argparse.ArgumentTypeError(accepted)
    return number
