"""Reads a body without trusting its size."""

import zlib
from collections.abc import AsyncIterable
from typing import Final

MAX_BODY: Final = 64 * 1024
"""Bytes, packed and unpacked. The largest token response taken is far below."""


class BadBody(Exception):
    """The body is too large, or packed in a way that cannot be undone. The text says which, and repeats none of it."""


async def read_bounded(chunks: AsyncIterable[bytes]) -> bytes:
    """All of it, or BadBody as soon as it is more than MAX_BODY."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY:
            raise BadBody(f"is larger than {MAX_BODY} bytes")
    return bytes(body)


def unpack(encoding: str, body: bytes) -> bytes:
    """Undoes a Content-Encoding (RFC 9110, section 8.4); never makes more than MAX_BODY bytes: bombs stay packed."""
    if encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise BadBody("is packed in an encoding that was not asked for")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: zlib or gzip, whichever its header says
    try:
        unpacked = inflater.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise BadBody("is packed, and does not unpack") from error
    if len(unpacked) > MAX_BODY:
        raise BadBody(f"unpacks to more than {MAX_BODY} bytes")
    if not inflater.eof:
        raise BadBody("is packed, and ends too early")
    return unpacked
