"""TLS of the HTTP port, with certificates and CA bundles that change while the server runs."""

import ssl
from collections.abc import Callable
from typing import Protocol

from mintonce_server.common.pem import load_pair


class Material(Protocol):
    """A certificate chain and its key in PEM, and the CA bundle for client certificates, if there is one."""

    @property
    def certificate(self) -> bytes: ...
    @property
    def key(self) -> bytes: ...
    @property
    def client_ca(self) -> bytes | None: ...


def server_context(current: Callable[[], Material]) -> ssl.SSLContext:
    """Uses what `current` returns at each handshake. Client certificates are asked for, and may be missing.

    The whole context is exchanged, because a context can learn a new CA but forget none. Raises ValueError.
    """
    material = current()
    context = _context(material)
    outer = _context(material)

    def renew(connection: ssl.SSLObject | ssl.SSLSocket, _: str | None, __: ssl.SSLContext) -> None:
        nonlocal material, context
        if (now := current()) is not material:
            context, material = _context(now), now
        connection.context = context

    outer.sni_callback = renew  # called without SNI, too
    return outer


def _context(material: Material) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, material.certificate, material.key)
    if material.client_ca is not None:
        context.load_verify_locations(cadata=material.client_ca.decode("ascii", "replace"))
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
