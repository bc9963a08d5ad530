"""TLS to the store, of what its files hold: which of them is of no use is told, with what is wrong with it."""

import ssl
from collections.abc import Mapping
from typing import Final

from mintonce_server.common.files import as_file
from mintonce_server.store.topology.pool import as_told
from mintonce_server.store.topology.url import Target

_MISMATCH: Final = "KEY_VALUES_MISMATCH"
_AUTHORITIES: Final = (
    "Write there, whole, the certificate of the authority that signs Redis' certificate (-----BEGIN CERTIFICATE-----)."
)
_CERTIFICATE: Final = "Write there, whole, our certificate in PEM (-----BEGIN CERTIFICATE-----)."
_KEY: Final = "Write there, whole, the key of our certificate in PEM, without a password."
_PAIR: Final = "Write certificate and key from one issuance."


class TlsFileFault(ValueError):
    """A file cannot be used.

    Attributes:
        option: of the URL, that names the file.
        what: is wrong with it, after its name. Shows nothing of what it holds.
        remedy: what to do.
        is_pair: it may fit another certificate, which is perhaps being written just now.
    """

    def __init__(self, option: str, what: str, remedy: str, *, is_pair: bool = False) -> None:
        super().__init__(f"{option} {what}")
        self.option = option
        self.what = what
        self.remedy = remedy
        self.is_pair = is_pair


def tls_context_of(target: Target, files: Mapping[str, bytes]) -> ssl.SSLContext:
    """As `tls_context`, of what was read from the files of these options. Raises TlsFileFault."""
    context = ssl.create_default_context()
    if "ssl_ca_certs" in files:  # empty, too: without them the authorities of this machine would count
        context = _trusting("ssl_ca_certs", files["ssl_ca_certs"], _AUTHORITIES)
    if "ssl_certfile" in files:
        _show(context, files["ssl_certfile"], files.get("ssl_keyfile"))
    return as_told(target, context)


def _trusting(option: str, certificates: bytes, remedy: str) -> ssl.SSLContext:
    try:
        with as_file(certificates) as path:
            return ssl.create_default_context(cafile=path)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        pass  # raised below, without OpenSSL's words
    what = "holds no whole certificates in PEM" if certificates.strip() else "is empty"
    raise TlsFileFault(option, what, remedy)


def _show(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    try:
        with as_file(certificate + b"\n" + (key or b"")) as path:
            # The password is never asked for: a prompt would hang a service.
            context.load_cert_chain(path, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
    else:
        return
    _trusting("ssl_certfile", certificate, _CERTIFICATE)
    named = "ssl_certfile" if key is None else "ssl_keyfile"
    if reason == _MISMATCH:
        raise TlsFileFault(named, "holds another key than that of the certificate", _PAIR, is_pair=True)
    raise TlsFileFault(named, "holds no whole key in PEM without a password", _KEY)
