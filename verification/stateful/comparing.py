"""Whether what the server did is what the model says, given that the server's clock went on meanwhile."""

from collections.abc import Iterator
from typing import cast

SLACK = 5
"""Milliseconds, and however long the act took: lives are cut down to whole ones on their way, more than once."""
TIMES = frozenset({"expiry", "lapses", "until", "rejected_at", "ms", "live_left"})


def differences(real: object, early: object, late: object, name: str, slack: int) -> Iterator[str]:
    """Between the real value and the model's, as of before and of after the act. Times may lie in between.

    `slack`: ms by which they may be off all the same.
    """
    fields = _fields(real)
    if not fields or not (type(real) is type(early) is type(late)):
        if not _agree(real, early, late, name.rpartition(".")[2], slack):
            yield f"{name} is {real!r}, not {early!r} or {late!r}"
        return
    for field, value in fields.items():
        yield from differences(value, getattr(early, field), getattr(late, field), f"{name}.{field}", slack)


def _agree(real: object, early: object, late: object, name: str, slack: int) -> bool:
    if not (isinstance(real, int) and isinstance(early, int) and isinstance(late, int)) or early == 0:
        return real == early == late
    if name in TIMES:
        return min(early, late) - slack <= real <= max(early, late) + slack
    # A generation may be the time of day too, but then exactly.
    return early <= real <= late if name == "generation" else real == early == late


def _fields(value: object) -> dict[str, object]:
    """Of a NamedTuple."""
    as_dict = getattr(value, "_asdict", None)
    return cast(dict[str, object], as_dict()) if callable(as_dict) else {}
