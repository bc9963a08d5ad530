"""JSON that somebody shows, read without surprises."""

import json
from typing import Any, NoReturn, cast


def json_object(data: bytes) -> dict[str, object] | None:
    """The one JSON object that the bytes are, or None.

    Refused as well: names that occur twice, on which readers disagree (RFC 8725, section 2.4, has the like), NaN and
    Infinity, and nesting too deep to read. No error goes out, because json's carries the whole text.
    """
    try:
        parsed: object = json.loads(data, object_pairs_hook=_without_repetition, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _no_json(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
