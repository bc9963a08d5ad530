"""JSON from untrusted sources, parsed strictly."""

import json
from typing import Any, NoReturn, cast


def json_object(data: bytes) -> dict[str, object] | None:
    """The one JSON object that the bytes are, or None.

    Also refused: duplicate names, which parsers treat differently (RFC 8725, section 2.4), NaN and Infinity, and
    excessive nesting. No error is raised, because those of json contain the whole text.
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
