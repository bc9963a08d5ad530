"""The charset that an HTTP message declares (RFC 9110, section 8.3)."""

import re
from typing import Final

_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_.:-]{1,40})\"?", re.IGNORECASE)
_OTHERS: Final = frozenset(
    {"iso-8859-1", "latin1", "iso-8859-15", "windows-1252", "utf-16", "utf-16le", "utf-16be", "us-ascii"}
)
"""Charsets besides UTF-8 that are decoded: those that servers really declare. Python knows many more, some costly."""


def as_utf8(body: bytes, content_type: str) -> bytes:
    """The body in UTF-8; unchanged if the Content-Type declares no other known charset, or a wrong one."""
    found = _CHARSET.search(content_type)
    declared = found[1].lower() if found else ""
    if declared not in _OTHERS:
        return body
    try:
        return body.decode(declared).encode()
    except UnicodeError:
        return body
