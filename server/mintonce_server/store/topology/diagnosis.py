"""Finds out why connections fail: redis-py only reports a timeout when one side uses TLS and the other does not.

Each probe is a connection of its own, without a password. It sends a PING at most.
"""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter, open_connection, open_unix_connection, timeout
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import InvalidResponse

from mintonce_server.common.causes import SpeaksClear, SpeaksHttp, SpeaksTls
from mintonce_server.common.redis_url import Address, Target
from mintonce_server.store.topology.tls import tls_context

LONGEST: Final = 1.0
"""Maximum seconds for each step."""
ALERT_WITHIN: Final = 0.3
"""Seconds. A server that rejects our certificate sends its alert after a successful handshake."""
MOST: Final = 8
"""Maximum number of servers to probe."""

_HTTP: Final = (b"http/", b"<!doctype html", b"<html")
"""Some servers answer an invalid request with an HTML page only."""
_ANSWERS: Final = (b"+", b"-")
"""To a PING: yes or no."""
_TLS_ALERT, _TLS_HANDSHAKE = b"\x15\x03", b"\x16\x03"


async def diagnose(target: Target, addresses: Sequence[Address], deadline: float) -> Exception | None:
    """The most informative error. None if all connections work or fail without a reason."""
    step = min(LONGEST, max(deadline, 2 * ALERT_WITHIN))
    probed = [None] if target.path else list(dict.fromkeys(addresses))[:MOST]
    context = tls_context(target) if target.tls else None
    results = await asyncio.gather(*(_probe(target.path, address, context, step) for address in probed))
    errors = [error for error in results if error is not None]
    return min(errors, key=lambda error: isinstance(error, TimeoutError), default=None)


async def _probe(path: str, address: Address | None, context: ssl.SSLContext | None, step: float) -> Exception | None:
    try:
        if context is None:
            return await _probe_in_clear(path, address, step)
        return await _probe_with_tls(path, address, context, step)
    except Exception as error:  # noqa: BLE001 - the error is the result
        return error


async def _probe_in_clear(path: str, address: Address | None, step: float) -> Exception | None:
    answer = await _answer_to_ping(path, address, step)
    if answer.lower().startswith(_HTTP):
        return SpeaksHttp()
    if answer.startswith(_TLS_ALERT):
        return SpeaksTls()
    if answer and not answer.startswith(_ANSWERS):
        return InvalidResponse("no answer to a PING")
    return SpeaksTls() if not answer and await _has_certificate(address, step) else None


async def _probe_with_tls(path: str, address: Address | None, context: ssl.SSLContext, step: float) -> Exception | None:
    try:
        async with timeout(step + ALERT_WITHIN), _connected(path, address, context) as (reader, _):
            try:
                async with timeout(ALERT_WITHIN):
                    if not await reader.read(1):
                        return ConnectionResetError("closed after the TLS handshake")
            except TimeoutError:
                pass  # it waits for a command, as expected
        return None
    except (TimeoutError, ConnectionError):
        # Redis without TLS takes a handshake for the beginning of a command.
        if await _answer_to_ping(path, address, step):
            return SpeaksClear()
        raise


async def _answer_to_ping(path: str, address: Address | None, step: float) -> bytes:
    """b"" if there is none."""
    try:
        async with timeout(step), _connected(path, address, None) as (reader, writer):
            writer.write(b"PING\r\n\r\n")
            return await reader.read(16)
    except (TimeoutError, ConnectionError):
        return b""


async def _has_certificate(address: Address | None, step: float) -> bool:
    """Whether the server speaks TLS, with any certificate. Nothing is sent."""
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
