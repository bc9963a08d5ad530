"""JSON from outside, read without surprises."""

import json
from collections.abc import Iterable
from typing import NoReturn, cast


class NotAnObject(ValueError):
    """The bytes are not one JSON object. The text never repeats any of them."""


def parse_object(data: bytes) -> dict[str, object]:
    """One JSON object in UTF-8 (RFC 8259); every number becomes a float. Raises NotAnObject.

    Refused as well: names that occur twice (RFC 6749, section 3.2, forbids it, and readers disagree which one counts),
    NaN and Infinity (no JSON, though Python reads them), and nesting too deep to read.
    """
    try:
        # Numbers as floats: an integer of thousands of digits is then infinite, instead of an error or slow.
        parsed: object = json.loads(
            data.decode("utf-8-sig"), parse_int=float, parse_constant=_no_json, object_pairs_hook=_without_repetition
        )
    except (ValueError, RecursionError):
        parsed = None
    # Raised out here, because json's and the codec's errors carry the whole text with them as context.
    if not isinstance(parsed, dict):
        raise NotAnObject("not a JSON object")
    return cast("dict[str, object]", parsed)


def _without_repetition(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    pairs = list(pairs)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _no_json(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
