"""HTTP bodies from untrusted peers, read within a size limit."""

import zlib
from collections.abc import AsyncIterable


class BadBody(Exception):
    """The body is too large, or cannot be decompressed. The text completes "the answer …" and repeats none of it."""


async def read_bounded(chunks: AsyncIterable[bytes], limit: int) -> bytes:
    """The whole body. Raises BadBody as soon as it exceeds `limit` bytes."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise BadBody(f"is larger than {limit} bytes")
    return bytes(body)


def decompress(encoding: str, body: bytes, limit: int) -> bytes:
    """Undoes a Content-Encoding (RFC 9110, section 8.4). Raises BadBody. Never makes more than `limit` bytes."""
    if encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise BadBody("has a content encoding that was not requested")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: zlib or gzip, as its header says
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadBody("cannot be decompressed") from error
    if len(plain) > limit:
        raise BadBody(f"decompresses to more than {limit} bytes")
    if not inflater.eof:
        raise BadBody("is compressed and incomplete")
    return plain
