"""Which requests are refused though the parser takes them: those that a proxy before it may read in another way."""

import re
from itertools import chain
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.http_parser import RawRequestMessage

_HOST: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff/\\@?#,]*")


def is_unambiguous(message: RawRequestMessage) -> bool:
    """Whether everybody reads the same from this head (RFC 9112, sections 3.2 and 6.1)."""
    headers, version = message.headers, message.version
    if version not in (HttpVersion10, HttpVersion11):
        return False
    if (coding := headers.get("Transfer-Encoding")) is not None and (
        version == HttpVersion10 or coding.lower() != "chunked"
    ):
        return False
    host = headers.get("Host", "")
    return _HOST.fullmatch(host) is not None


def head_size(message: RawRequestMessage) -> int:
    """Bytes, nearly."""
    return len(message.path) + len(b"".join(chain.from_iterable(message.raw_headers))) + 4 * len(message.raw_headers)
