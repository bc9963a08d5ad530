"""TLS of the gRPC port: certificates that change while connections go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mintonce_server.core.errors import MintonceError


class TlsError(MintonceError):
    """A certificate, key or trust bundle cannot be used. The text holds no byte of them."""


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """PEM. `client_ca`: who signs callers' certificates; None: callers show none."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    not_after: float = 0.0

    def configuration(self, *, ask_for_certificate: bool) -> grpc.ServerCertificateConfiguration:
        roots = self.client_ca if ask_for_certificate else None
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], root_certificates=roots)


def load_tls(files: Sequence[bytes]) -> TlsMaterial:
    """Certificate chain, its key, and perhaps the callers' CA. Raises TlsError when they do not fit together."""
    certificate, key, *client_ca = files
    leaf = _certificates(certificate, "certificate_file")[0]
    if _public_bytes_of_key(key) != leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise TlsError("key_file is not the key of certificate_file", remedy="Write both anew, from one issuance.")
    if client_ca:
        _certificates(client_ca[0], "client_ca_file")
    not_after = leaf.not_valid_after_utc.timestamp()
    return TlsMaterial(certificate, key, client_ca[0] if client_ca else None, not_after)


def server_credentials(current: Callable[[], TlsMaterial], *, ask_for_certificate: bool) -> grpc.ServerCredentials:
    """Asks `current` at each handshake. Connections that stand stay; max_connection_age ends them in time."""
    given = current()

    def news() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        if (material := current()) is given:
            return None
        given = material
        return material.configuration(ask_for_certificate=ask_for_certificate)

    first = given.configuration(ask_for_certificate=ask_for_certificate)
    # None says that nothing has changed; the stubs do not know.
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


def _public_bytes_of_key(pem: bytes) -> bytes:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):  # TypeError: it wants a password
        key = None
    # Raised out here: the library's text could say something of the key.
    if key is None:
        raise TlsError("key_file holds no private key that can be read", remedy="Write it as PEM, without a password.")
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
