"""Text from a server, made fit for logs and terminals."""

from typing import Final

_CUT: Final = "..."


def visible(text: str, limit: int | None = None) -> str:
    """The text with everything that a terminal would obey as an escape; cut to `limit` characters, with dots then."""
    shown = text if limit is None else text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
    return shown if limit is None or len(shown) <= limit else shown[: limit - len(_CUT)] + _CUT
