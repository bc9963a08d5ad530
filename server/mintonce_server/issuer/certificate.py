"""A client's certificate for `tls_client_auth` (RFC 8705, section 2.1), as a replaceable value."""

import ssl
from dataclasses import dataclass, field, replace

from cryptography import x509

from mintonce_server.common.pem import load_pair
from mintonce_server.core.secret import Secret


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its intermediate certificates and its private key. Made by `load_client_certificate`."""

    chain_pem: bytes = field(repr=False)
    key_pem: Secret = field(repr=False)
    not_after: float = field(default=0.0, repr=False)
    """When the certificate ends, in seconds since 1970."""

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have the context present this certificate to servers that request one. Raises PemError."""
        load_pair(context, self.chain_pem, self.key_pem.reveal().encode("latin-1"))


def load_client_certificate(cert_pem: bytes, key_pem: bytes) -> ClientCertificate:
    """Load both from their files' bytes (PEM). Raises PemError, a ValueError, whose text repeats no byte of either."""
    certificate = ClientCertificate(cert_pem, Secret(key_pem.decode("latin-1")))
    certificate.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    not_after = x509.load_pem_x509_certificate(cert_pem).not_valid_after_utc.timestamp()
    return replace(certificate, not_after=not_after)
