"""Faults that a practice issuer can be told to have."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, cast


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next answers. The POST counts in the log all the same.

    Attributes:
        latency: seconds before the answer.
        status: instead of the right one; without a token then, unless `body` says something.
        body: the text sent instead of the right one.
        hang: no answer until the connection or the issuer is closed.
        retry_after: value of a Retry-After header.
        times: for so many POSTs; None: until told otherwise.
    """

    latency: float = 0.0
    status: int | None = None
    body: str | None = None
    hang: bool = False
    retry_after: str | None = None
    times: int | None = None


NONE: Final = Fault()

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "latency": (int, float),
    "status": (int, type(None)),
    "body": (str, type(None)),
    "hang": (bool,),
    "retry_after": (str, type(None)),
    "times": (int, type(None)),
}


def parse_fault(data: bytes) -> Fault:
    """A Fault from a JSON object with the same names; {} for none. Raises ValueError with a sentence."""
    parsed: object = json.loads(data or b"{}")
    if not isinstance(parsed, dict):
        raise ValueError("send a JSON object")
    said = cast("dict[str, object]", parsed)
    for name, value in said.items():
        if name not in _TYPES:
            raise ValueError(f"unknown name; use {', '.join(field.name for field in fields(Fault))}")
        if not isinstance(value, _TYPES[name]):
            raise ValueError(f"{name} has the wrong type")
    return Fault(**said)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - each was looked at above
