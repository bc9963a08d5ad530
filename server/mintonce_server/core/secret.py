"""Text that must not be seen."""

import hashlib
import hmac
from typing import Final, NoReturn

MASK: Final = "[redacted]"


class Secret:
    """A string whose repr, str and format are masked, and which does not pickle.

    Code that needs the text calls `reveal()`: a search for that word finds every use.
    """

    __slots__ = ("_sha256", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha256: bytes | None = None

    def reveal(self) -> str:
        """The text itself. Put it on the wire at once; never into a message."""
        return self._text

    def sha256(self) -> bytes:
        """The SHA-256 of the UTF-8 text: 32 bytes."""
        if self._sha256 is None:  # each call that hands out a token needs it
            self._sha256 = hashlib.sha256(self._text.encode()).digest()
        return self._sha256

    def fingerprint(self) -> str:
        """32 hex digits that tell whether two texts are the same, and of a token's text nothing else."""
        return self.sha256()[:16].hex()

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not pickle: reveal() it where it is needed")
