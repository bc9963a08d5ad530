"""Text from outside, made fit for logs, errors and terminals; and what a token from outside may look like."""

import re
from collections.abc import Iterable
from typing import Final

from mintonce_server.core.key import MAX_AUDIENCE, MAX_SCOPE

MAX_TOKEN: Final = 16 * 1024
"""Characters of an access token. Servers take about 8 KiB of headers; more is not a token."""
MAX_GRANTED_SCOPES: Final = 1000
"""Granted with one token: as many as the largest APIs have. What more allow cannot be checked."""
MAX_GRANTED_AUDIENCES: Final = 32

_NOT_PRINTABLE_ASCII: Final = re.compile(r"[^\x20-\x7e]")
_CUT: Final = "..."

# RFC 6749, section 5.2, allows more, but every registered code is made of small letters and underscores. What is not
# may be anything, even our own secret that a careless issuer says back, and codes are shown to callers.
_ERROR_CODE: Final = re.compile(r"[a-z][a-z_]{0,63}")

_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN}}}")
_TOKEN_TYPE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110, section 11.1: auth-scheme
_GRANTED_SCOPE: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_SCOPE}}}")
_GRANTED_AUDIENCE: Final = re.compile(rf"[\x20-\x7e]{{0,{MAX_AUDIENCE}}}")


def printable(text: str, limit: int) -> str:
    """The text in printable ASCII, all else as escapes, cut to `limit` characters: what was cut ends with dots."""
    # The first cut bounds the work: an escape never makes a text shorter.
    return _cut(_NOT_PRINTABLE_ASCII.sub(lambda found: _escaped(found[0]), text[: limit + 1]), limit)


def visible(text: str, limit: int | None = None) -> str:
    """The text with everything that a terminal would obey, or cannot encode, as an escape; cut like `printable`."""
    bounded = text if limit is None else text[: limit + 1]
    shown = bounded if bounded.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in bounded)
    return shown if limit is None else _cut(shown, limit)


def error_code(text: str) -> str:
    """An issuer's error code (RFC 6749, section 5.2) if it is a clean one, or ""."""
    return text if _ERROR_CODE.fullmatch(text) else ""


def is_token(text: str) -> bool:
    """Visible ASCII: wider than b64token (RFC 6750, section 2.1), for opaque tokens, yet nothing that ends a header."""
    return bool(_TOKEN.fullmatch(text))


def is_token_type(text: str) -> bool:
    """Whether it can stand before a token in an Authorization header."""
    return bool(_TOKEN_TYPE.fullmatch(text))


def are_granted(scopes: Iterable[str], audiences: Iterable[str]) -> bool:
    """Whether these are names as they are kept of a token: few enough, short and printable."""
    scopes, audiences = tuple(scopes), tuple(audiences)
    return (
        len(scopes) <= MAX_GRANTED_SCOPES
        and len(audiences) <= MAX_GRANTED_AUDIENCES
        and all(map(_GRANTED_SCOPE.fullmatch, scopes))
        and all(map(_GRANTED_AUDIENCE.fullmatch, audiences))
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT
