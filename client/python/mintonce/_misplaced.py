"""A secret that was given where the name of its file, or a target, belongs. No message may show it."""

from typing import Final

_STARTS: Final = ("mok_", "eyJ")
"""Of API keys of mintonced, and of JWTs."""
_INSIDE: Final = ("-----BEGIN", "PRIVATE KEY")
"""Of PEM."""


def looks_secret(text: str) -> bool:
    """Whether it may be a key or a token. A secret in a file ends with a new line; no path and no target has one."""
    return (
        text.startswith(_STARTS)
        or any(each in text for each in _INSIDE)
        or any(character < " " or character == "\x7f" for character in text)
    )
