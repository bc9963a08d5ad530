"""Faults that a practice issuer can be told to have."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, cast

_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_LATEST: Final = 1e9
"""Seconds: about thirty years."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next answers. The POST counts in the log all the same.

    Attributes:
        latency: seconds before the answer.
        status: instead of the right one; without a token then, unless `body` says something.
        body: the text sent instead of the right one.
        hang: no answer until the connection or the issuer is closed.
        retry_after: value of a Retry-After header.
        audience: only for POSTs that ask for this one, in which `*` stands for anything; None: for all.
        expires_in: JSON text sent as `expires_in` instead of the right one; "" leaves it out. Where it is a sane number
            of seconds, the token really lives so long.
        scope: granted instead of the one that was asked for.
        repeat: the audience's last token once more instead of a new one.
        padding: so many more bytes in the body.
        drip: seconds between any two bytes of the body.
        times: for so many POSTs; None: until told otherwise.
    """

    latency: float = 0.0
    status: int | None = None
    body: str | None = None
    hang: bool = False
    retry_after: str | None = None
    audience: str | None = None
    expires_in: str | None = None
    scope: str | None = None
    repeat: bool = False
    padding: int = 0
    drip: float = 0.0
    times: int | None = None

    @property
    def is_failing(self) -> bool:
        """Whether no token is minted."""
        return self.status is not None or self.body is not None

    def lifetime(self, usual: float) -> float:
        """Seconds that a token lives which is minted now."""
        if self.expires_in is None or not _SECONDS.fullmatch(self.expires_in):
            return usual
        return min(float(self.expires_in), _LATEST)


NONE: Final = Fault()

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "latency": (int, float),
    "status": (int, type(None)),
    "body": (str, type(None)),
    "hang": (bool,),
    "retry_after": (str, type(None)),
    "audience": (str, type(None)),
    "expires_in": (str, type(None)),
    "scope": (str, type(None)),
    "repeat": (bool,),
    "padding": (int,),
    "drip": (int, float),
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
