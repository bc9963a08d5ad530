"""A client's certificate for `tls_client_auth` (RFC 8705, section 2.1), as a replaceable value."""

import ssl
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mintonce_server.common.files import as_file
from mintonce_server.core.secret import Secret


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its intermediate certificates and its private key. Made by `load_client_certificate`."""

    chain_pem: str = field(repr=False)
    key_pem: Secret = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have the context present this certificate to servers that request one. Raises ValueError."""
        with as_file((self.chain_pem + "\n" + self.key_pem.reveal()).encode("latin-1")) as path:
            try:
                # An empty password instead of a prompt, which would block a service.
                context.load_cert_chain(path, password=lambda: "")
                return
            except (OSError, ValueError):  # ssl.SSLError is an OSError
                pass
        raise ValueError("OpenSSL does not accept the certificate and its key")


def load_client_certificate(cert_pem: bytes, key_pem: bytes) -> ClientCertificate:
    """Load both from their files' bytes (PEM). Raises ValueError, whose text repeats no byte of either."""
    try:
        chain, key = x509.load_pem_x509_certificates(cert_pem), load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):  # TypeError: the key is encrypted
        chain, key = [], None
    # Raised outside of the handler: the library's error may quote what it read, and must not become our context.
    if key is None:
        raise ValueError(_which(cert_pem))
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise ValueError("the private key does not belong to the first certificate in the file")
    certificate = ClientCertificate(
        "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in chain), Secret(key_pem.decode("latin-1"))
    )
    certificate.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return certificate


def _which(cert_pem: bytes) -> str:
    try:
        x509.load_pem_x509_certificates(cert_pem)
    except ValueError:
        return "the certificate is not PEM (-----BEGIN CERTIFICATE-----)"
    return "the private key is not PEM, or is encrypted: store it without a password, in a file that others cannot read"


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
