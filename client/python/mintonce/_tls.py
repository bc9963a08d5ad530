"""PEM files into gRPC's credentials, after a check by the standard library: gRPC itself fails late and says little."""

import os
import ssl
from typing import Final, cast

import grpc

from mintonce._files import FileFault, Watched, read
from mintonce.credentials import Tls

_REMEDY: Final = (
    "The files must be there, be PEM, and belong together: see MINTONCE_CA_FILE, MINTONCE_CERTIFICATE_FILE and "
    "MINTONCE_KEY_FILE, their --options, or tls=Tls(…). A key that has a password or another form: "
    "openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.p8"
)


def watched(tls: Tls) -> Watched[grpc.ChannelCredentials]:
    """Credentials that follow the files. Raises Refused when they cannot be used now."""
    ca, certificate, key = (
        None if each is None else os.fspath(each) for each in (tls.ca_file, tls.certificate_file, tls.key_file)
    )
    paths = tuple(path for path in (ca, certificate, key) if path is not None)

    def load(contents: tuple[bytes, ...]) -> grpc.ChannelCredentials:
        known = dict(zip(paths, contents, strict=True))
        if certificate is not None:
            _check_pair(certificate, key)
        if any(read(path) != content for path, content in known.items()):
            raise FileFault(f"{', '.join(paths)} changed while they were read")
        roots = _system_roots() if ca is None else known[ca]
        if ca is not None:
            _check_authorities(ca, known[ca])
        if certificate is None:
            return grpc.ssl_channel_credentials(roots)
        return grpc.ssl_channel_credentials(roots, known[key or certificate], known[certificate])

    return Watched(paths, load, _REMEDY)


def _check_pair(certificate: str, key: str | None) -> None:
    """The standard library reads these only from files; the caller makes sure that they are still the same."""
    fault = ""
    try:
        # An empty password: without one, OpenSSL would ask for it at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        fault = error.reason or type(error).__name__
    except OSError as error:
        fault = error.strerror or type(error).__name__
    if fault:
        both = f"{certificate} and {key} are" if key else f"{certificate} is"
        raise FileFault(f"{both} no certificate with its unencrypted key: {fault}")


def _check_authorities(path: str, content: bytes) -> None:
    text = content.decode("ascii", "ignore")  # names of authorities, between the certificates, may have any letters
    fault = "" if text.strip() else "it is empty"
    try:
        if not fault:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except ssl.SSLError as error:
        fault = error.reason or type(error).__name__
    if fault:
        raise FileFault(f"{path} holds no certificates of authorities: {fault}")


def _system_roots() -> bytes | None:
    """This host's authorities, of SSL_CERT_FILE if that is set. None: those that gRPC brings along."""
    path = cast("str | None", ssl.get_default_verify_paths().cafile)  # typeshed forgets the None
    return None if path is None else read(path)
