"""Who is at the other end of an HTTP connection."""

import asyncio
import ssl
from typing import Any, cast

from aiohttp import web


def peer_of(request: web.BaseRequest) -> str:
    """As gRPC writes it, so that the audit log has one form: ipv4:192.0.2.1:4711, for example."""
    host, port = _name(request.transport)
    if not host:
        return "unix:"
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """The IP address, "" for a Unix socket."""
    return _name(transport)[0]


def certificates_of(request: web.BaseRequest) -> tuple[bytes | None, bytes]:
    """The PEM of the verified client certificate, None without one; and of all that came with it."""
    connection = request.transport.get_extra_info("ssl_object") if request.transport else None
    der = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLObject) else None
    if not der:
        return None, b""
    return ssl.DER_cert_to_PEM_cert(der).encode(), _chain(cast("ssl.SSLObject", connection))


def _chain(connection: ssl.SSLObject) -> bytes:
    """Python has a public method for it since 3.13."""
    inner: Any = getattr(connection, "_sslobj", None)
    shown: Any = inner.get_unverified_chain() if inner is not None else None
    return "".join(str(each.public_bytes()) for each in shown or ()).encode()


def _name(transport: asyncio.BaseTransport | None) -> tuple[str, str]:
    name: object = transport.get_extra_info("peername") if transport else None
    if not isinstance(name, tuple):
        return "", ""
    host, port = map(str, cast("tuple[object, ...]", name)[:2])
    return host, port
