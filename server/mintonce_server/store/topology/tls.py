"""TLS contexts for connections to the store, from the files that the Redis URL names or from their contents."""

import ssl
from collections.abc import Mapping
from typing import Final

from mintonce_server.common.files import as_file
from mintonce_server.common.pem import PemError, load_pair
from mintonce_server.common.redis_url import Target

_AUTHORITIES: Final = (
    "Put the complete certificate of the CA that signs Redis' certificate into it (-----BEGIN CERTIFICATE-----)."
)
_CERTIFICATE: Final = "Put the complete client certificate in PEM into it (-----BEGIN CERTIFICATE-----)."
_KEY: Final = "Put the complete key of the client certificate in PEM into it, without a password."
_PAIR: Final = "Replace both with a matching certificate and key."


class TlsFileFault(ValueError):
    """A file cannot be used.

    Attributes:
        option: the option of the URL that names the file.
        what: is wrong with it; completes its name. Shows nothing of its contents.
        remedy: what to do about it.
        is_pair: the key may belong to another certificate, which is perhaps being written now.
    """

    def __init__(self, option: str, what: str, remedy: str, *, is_pair: bool = False) -> None:
        super().__init__(f"{option} {what}")
        self.option = option
        self.what = what
        self.remedy = remedy
        self.is_pair = is_pair


def tls_context(target: Target) -> ssl.SSLContext:
    """From the files that the URL names. The CAs in `ssl_ca_certs` are trusted instead of the system's."""
    if target.context is not None:
        return target.context
    authorities, certificate, key = map(target.file, ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"))
    try:
        context = ssl.create_default_context(cafile=authorities)
        if certificate:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError("a TLS file named in the Redis URL (ssl_…) cannot be read, or is not PEM") from error
    return with_options(target, context)


def with_options(target: Target, context: ssl.SSLContext) -> ssl.SSLContext:
    """Applies the options of the URL that do not name files."""
    context.check_hostname = target.check_hostname and target.verified
    if not target.verified:
        context.verify_mode = ssl.CERT_NONE
    return context


def tls_context_of(target: Target, files: Mapping[str, bytes]) -> ssl.SSLContext:
    """As `tls_context`, from the contents of the files of these options. Raises TlsFileFault."""
    context = ssl.create_default_context()
    if "ssl_ca_certs" in files:  # even if empty: otherwise the system's CAs would be trusted
        context = _trusting(files["ssl_ca_certs"])
    if "ssl_certfile" in files:
        _load_pair(context, files["ssl_certfile"], files.get("ssl_keyfile"))
    return with_options(target, context)


def _trusting(certificates: bytes) -> ssl.SSLContext:
    try:
        with as_file(certificates) as path:
            return ssl.create_default_context(cafile=path)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        pass  # raised below, without OpenSSL's text
    raise _no_certificates("ssl_ca_certs", certificates, _AUTHORITIES)


def _no_certificates(option: str, certificates: bytes, remedy: str) -> TlsFileFault:
    what = "holds no complete certificates in PEM" if certificates.strip() else "is empty"
    return TlsFileFault(option, what, remedy)


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    try:
        load_pair(context, certificate, key)
    except PemError as error:
        part = error.part
    else:
        return
    if part == "certificate":
        raise _no_certificates("ssl_certfile", certificate, _CERTIFICATE)
    named = "ssl_certfile" if key is None else "ssl_keyfile"
    if part == "pair":
        raise TlsFileFault(named, "holds a key that does not belong to the certificate", _PAIR, is_pair=True)
    raise TlsFileFault(named, "holds no complete key in PEM without a password", _KEY)
