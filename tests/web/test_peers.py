"""Who is at the other end of a connection."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from mintonce_server.common.clock import SystemClock
from mintonce_server.web.listener import WebListener
from mintonce_server.web.pages import LIMITS, Pages
from mintonce_server.web.peers import certificates_of
from support.certificates import Authority

REQUEST = b"GET /chain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def chain(request: web.BaseRequest) -> web.Response:
    return web.Response(body=certificates_of(request)[1])


def ask(
    port: int, trusting: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bytes, ssl.SSLSession | None, bool]:
    """The answer, the session for another time, and whether `session` was used."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10.0) as plain,
        trusting.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
    ):
        connection.sendall(REQUEST)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return answer.partition(b"\r\n\r\n")[2], connection.session, bool(connection.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_resumed_session_has_the_chain_of_its_first_handshake(version: ssl.TLSVersion, tmp_path: Path) -> None:
    """TLS keeps the caller's own certificate only. Without the others no path leads to an authority that stays."""
    authority = Authority(tmp_path)
    issued, client = authority.server(), authority.caller("spiffe://prod.example.com/ns/pay/sa/billing")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    trusting = ssl.create_default_context(cafile=authority.ca)
    trusting.load_cert_chain(client.certificate, client.key)
    trusting.maximum_version = version
    clock = SystemClock()
    listener = WebListener(
        "127.0.0.1:0", Pages({"/chain": chain}, clock, None), clock, LIMITS, socket_mode=0o600, context=context
    )
    port = int((await listener.start()).rpartition(":")[2])
    try:
        first, session, _ = await asyncio.to_thread(ask, port, trusting, None)
        again, _, resumed = await asyncio.to_thread(ask, port, trusting, session)
    finally:
        await listener.stop(0.0)
    assert resumed
    assert b"BEGIN CERTIFICATE" in first
    assert again == first
