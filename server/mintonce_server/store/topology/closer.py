"""Looks why connections fail: redis-py says "timed out" or "closed" where a TLS port and a clear one meet.

Each look is a connection of its own, without a password: it says PING at most.
"""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter, open_connection, open_unix_connection, timeout
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import InvalidResponse

from mintonce_server.common.causes import SpeaksClear, SpeaksHttp, SpeaksTls
from mintonce_server.store.topology.address import Address
from mintonce_server.store.topology.pool import tls_context
from mintonce_server.store.topology.url import Target

LONGEST: Final = 1.0
"""Seconds for each step at most."""
ALERT_WITHIN: Final = 0.3
"""Seconds. A server that refuses our certificate says so after a handshake that went well."""
MOST: Final = 8
"""Servers that are looked at."""

_HTTP: Final = (b"http/", b"<!doctype html", b"<html")
"""Some servers answer what they do not understand with the page alone."""
_ANSWERS: Final = (b"+", b"-")
"""To a PING: yes or no."""
_TLS_ALERT, _TLS_HANDSHAKE = b"\x15\x03", b"\x16\x03"


async def look_closer(target: Target, addresses: Sequence[Address], deadline: float) -> Exception | None:
    """The first trouble that says something. None when all connections work, or only fail without a word."""
    step = min(LONGEST, max(deadline, 2 * ALERT_WITHIN))
    ways = [None] if target.path else list(dict.fromkeys(addresses))[:MOST]
    context = tls_context(target) if target.tls else None
    seen = await asyncio.gather(*(_look(target.path, way, context, step) for way in ways))
    told = [trouble for trouble in seen if trouble is not None]
    return min(told, key=lambda trouble: isinstance(trouble, TimeoutError), default=None)


async def _look(path: str, address: Address | None, context: ssl.SSLContext | None, step: float) -> Exception | None:
    try:
        if context is None:
            return await _look_in_clear(path, address, step)
        return await _look_by_tls(path, address, context, step)
    except Exception as error:  # noqa: BLE001 - it is what was looked for
        return error


async def _look_in_clear(path: str, address: Address | None, step: float) -> Exception | None:
    said = await _answer_to_ping(path, address, step)
    if said.lower().startswith(_HTTP):
        return SpeaksHttp()
    if said.startswith(_TLS_ALERT):
        return SpeaksTls()
    if said and not said.startswith(_ANSWERS):
        return InvalidResponse("no answer to a PING")
    return SpeaksTls() if not said and await _has_certificate(address, step) else None


async def _look_by_tls(path: str, address: Address | None, context: ssl.SSLContext, step: float) -> Exception | None:
    try:
        async with timeout(step + ALERT_WITHIN), _connected(path, address, context) as (reader, _):
            try:
                async with timeout(ALERT_WITHIN):
                    if not await reader.read(1):
                        return ConnectionResetError("closed after the TLS handshake")
            except TimeoutError:
                pass  # it waits for a command, as it should
        return None
    except (TimeoutError, ConnectionError):
        # Redis in clear takes a handshake for the beginning of a command.
        if await _answer_to_ping(path, address, step):
            return SpeaksClear()
        raise


async def _answer_to_ping(path: str, address: Address | None, step: float) -> bytes:
    """b"" for none."""
    try:
        async with timeout(step), _connected(path, address, None) as (reader, writer):
            writer.write(b"PING\r\n\r\n")
            return await reader.read(16)
    except (TimeoutError, ConnectionError):
        return b""


async def _has_certificate(address: Address | None, step: float) -> bool:
    """Whether TLS can be spoken there, with whomever: nothing is sent."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        async with timeout(step), _connected("", address, anyone):
            return True
    except (OSError, TimeoutError):
        return False


@asynccontextmanager
async def _connected(
    path: str, address: Address | None, context: ssl.SSLContext | None
) -> AsyncGenerator[tuple[StreamReader, StreamWriter]]:
    if address is None:
        reader, writer = await open_unix_connection(path)
    else:
        reader, writer = await open_connection(address.host, address.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
