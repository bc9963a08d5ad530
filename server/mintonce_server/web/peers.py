"""Who is at the other end of an HTTP connection."""

import asyncio
import hashlib
import ssl
from collections import OrderedDict
from typing import Any, Final, cast

from aiohttp import web

CHAINS: Final = 4096
"""That are remembered, of the certificates seen last."""


def peer_of(transport: asyncio.BaseTransport | None) -> str:
    """As gRPC writes it, so that the audit log has one form: ipv4:192.0.2.1:4711, for example."""
    host, port = _name(transport)
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
    return ssl.DER_cert_to_PEM_cert(der).encode(), _CHAINS.of(der, cast("ssl.SSLObject", connection))


class _Chains:
    """A session that is resumed has the caller's own certificate only. The others came when it began."""

    def __init__(self) -> None:
        self._by_certificate: OrderedDict[bytes, bytes] = OrderedDict()

    def of(self, der: bytes, connection: ssl.SSLObject) -> bytes:
        digest = hashlib.sha256(der).digest()
        if connection.session_reused:
            return self._by_certificate.get(digest, b"")
        # Python has a public method for it since 3.13.
        inner: Any = getattr(connection, "_sslobj", None)
        shown: Any = inner.get_unverified_chain() if inner is not None else None
        chain = "".join(str(each.public_bytes()) for each in shown or ()).encode()
        self._by_certificate[digest] = chain
        self._by_certificate.move_to_end(digest)
        if len(self._by_certificate) > CHAINS:
            self._by_certificate.popitem(last=False)
        return chain


_CHAINS: Final = _Chains()


def _name(transport: asyncio.BaseTransport | None) -> tuple[str, str]:
    name: object = transport.get_extra_info("peername") if transport else None
    if not isinstance(name, tuple):
        return "", ""
    host, port = map(str, cast("tuple[object, ...]", name)[:2])
    return host, port
