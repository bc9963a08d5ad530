"""A client's certificate for `tls_client_auth` (RFC 8705, section 2.1), as a value that can be replaced."""

import os
import ssl
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mintonce_server.core.secret import Secret


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate, with those between it and its CA, and its private key: made by `load_client_certificate`."""

    chain_pem: str = field(repr=False)
    key_pem: Secret = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """From now on the context shows it to servers that ask. Raises ValueError."""
        with _as_file(self.chain_pem + "\n" + self.key_pem.reveal()) as path:
            try:
                # The password is never asked for: a prompt would hang a service.
                context.load_cert_chain(path, password=lambda: "")
                return
            except (OSError, ValueError):  # ssl.SSLError is an OSError
                pass
        raise ValueError("OpenSSL does not take the certificate and its key")


def load_client_certificate(cert_pem: bytes, key_pem: bytes) -> ClientCertificate:
    """Both files' bytes (PEM). Raises ValueError, with a sentence that repeats no byte of either."""
    try:
        chain, key = x509.load_pem_x509_certificates(cert_pem), load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):  # TypeError: the key is encrypted
        chain, key = [], None
    # Raised out here, so that not even the context of our error has the library's, which may quote what it read.
    if key is None:
        raise ValueError(_which(cert_pem))
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise ValueError("the private key is not that of the first certificate in the file")
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
    return "the private key is not PEM, or is encrypted: give it without a password, in a file that others cannot read"


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextmanager
def _as_file(text: str) -> Generator[str]:
    """A path under which OpenSSL, which takes nothing else, can read the text. In memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mintonce", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:
            file.write(text.encode("latin-1"))
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.TemporaryDirectory(prefix="mintonce-") as directory:  # for this user alone (0700)
        path = Path(directory) / "pem"
        path.write_text(text, encoding="latin-1")
        yield str(path)
