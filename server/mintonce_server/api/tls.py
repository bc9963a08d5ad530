"""TLS of the gRPC port, with certificates that change while connections stay open."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import grpc
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from mintonce_server.common.pem import Part, PemError, load_pair
from mintonce_server.core.errors import MintonceError

_PAIR: Final = {
    "certificate": ("certificate_file holds no certificate that can be read", "Write it as PEM: -----BEGIN CERT…."),
    "key": ("key_file holds no private key that can be read", "Write it as PEM, without a password."),
    "pair": ("key_file is not the key of certificate_file", "Replace both with a matching certificate and key."),
}


class TlsError(MintonceError):
    """A certificate, key or CA bundle cannot be used. The message contains nothing of them."""


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """PEM. `client_ca`: the CA bundle for client certificates. None: clients show none.

    `not_after`: when the certificate ends, seconds since 1970. `names`: the host names that it is for.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    not_after: float = 0.0
    names: frozenset[str] = frozenset()

    def configuration(self, *, ask_for_certificate: bool) -> grpc.ServerCertificateConfiguration:
        roots = self.client_ca if ask_for_certificate else None
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], root_certificates=roots)


def load_tls(files: Sequence[bytes]) -> TlsMaterial:
    """From the certificate chain, its key and, optionally, the CA bundle. Raises TlsError if they do not match."""
    certificate, key, *client_ca = files
    leaf = _certificates(certificate, "certificate_file")[0]
    if wrong := _wrong_part(certificate, key):
        what, remedy = _PAIR[wrong]
        raise TlsError(what, remedy=remedy)
    if client_ca:
        _certificates(client_ca[0], "client_ca_file")
    not_after = leaf.not_valid_after_utc.timestamp()
    return TlsMaterial(certificate, key, client_ca[0] if client_ca else None, not_after, _names(leaf))


def server_credentials(current: Callable[[], TlsMaterial], *, ask_for_certificate: bool) -> grpc.ServerCredentials:
    """Calls `current` at each handshake. Open connections stay open; max_connection_age ends them in time."""
    given = current()

    def news() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        if (material := current()) is given:
            return None
        given = material
        return material.configuration(ask_for_certificate=ask_for_certificate)

    first = given.configuration(ask_for_certificate=ask_for_certificate)
    # None means that nothing has changed; the stubs do not know that.
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", news)
    return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=ask_for_certificate)


def _certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        found = []
    if not found:
        raise TlsError(f"{name} holds no certificate that can be read", remedy="Write it as PEM: -----BEGIN CERT….")
    return found


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, ValueError):  # the latter: an extension that cannot be read
        return frozenset()
    names = found.get_values_for_type(x509.DNSName) if isinstance(found, x509.SubjectAlternativeName) else []
    return frozenset(name.lower() for name in names)


def _wrong_part(certificate: bytes, key: bytes) -> Part | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # gRPC decides which certificates are too weak for it
    try:
        load_pair(context, certificate, key)
    except PemError as error:
        return error.part
    return None
