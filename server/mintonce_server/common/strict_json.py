"""JSON from outside, read strictly: one object, no repeated names."""

import json
from collections.abc import Iterable
from typing import NoReturn, cast


class NotAnObject(ValueError):
    """The bytes are not one JSON object. The text never repeats any of them."""


def parse_object(data: bytes, *, integers_as_floats: bool = False) -> dict[str, object]:
    """One JSON object in UTF-8 (RFC 8259). Raises NotAnObject.

    Also refused: names that occur twice (RFC 6749, section 3.2, forbids them, RFC 8725, section 2.4, warns of such
    ambiguities, and parsers disagree which one counts), NaN and Infinity (not JSON, though Python reads them), and
    nesting too deep to read.

    `integers_as_floats`: every number is a float. An integer of thousands of digits is then infinite, not refused.
    """
    try:
        parsed: object = json.loads(
            data.decode("utf-8-sig"),
            parse_int=float if integers_as_floats else None,
            parse_constant=_not_json,
            object_pairs_hook=_without_repetition,
        )
    except (ValueError, RecursionError):
        parsed = None
    # Raised outside of the handler: the errors of json and of the codec carry the whole text as context.
    if not isinstance(parsed, dict):
        raise NotAnObject("not a JSON object")
    return cast("dict[str, object]", parsed)


def _without_repetition(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    pairs = list(pairs)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _not_json(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
