"""Certificates and their keys in PEM, checked by OpenSSL. No error repeats what was read."""

import ssl
from contextlib import nullcontext
from typing import Final, Literal

from mintonce_server.common.files import as_file

_MISMATCH: Final = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")  # the second: a key of another type

Part = Literal["certificate", "key", "pair"]


class PemError(ValueError):
    """A certificate and key cannot be used.

    Attributes:
        part: what is wrong: the certificate, the key, or that they do not belong together.
    """

    def __init__(self, part: Part, what: str) -> None:
        super().__init__(what)
        self.part: Part = part


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    """Load a certificate chain and its private key into the context. `key` None: it follows the certificate.

    Raises PemError.
    """
    try:
        with as_file(certificate) as path, nullcontext() if key is None else as_file(key) as key_path:
            # An empty password: OpenSSL would otherwise prompt for one, and the service would hang.
            context.load_cert_chain(path, key_path, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None)
    else:
        return
    # Raised outside of the handler: the library's error may quote what it read.
    if not holds_certificates(certificate):
        raise PemError("certificate", "the certificate is not PEM (-----BEGIN CERTIFICATE-----)")
    if reason in _MISMATCH:
        raise PemError("pair", "the private key does not belong to the first certificate in the file")
    raise PemError("key", "the private key is not PEM, or is encrypted: store it without a password, in a private file")


def holds_certificates(pem: bytes) -> bool:
    """Whether the bytes are at least one valid certificate in PEM."""
    try:
        with as_file(pem) as path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):
        return False
    return True
