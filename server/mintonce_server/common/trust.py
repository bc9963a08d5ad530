"""Which authorities sign the certificates of servers that we connect to."""

import ssl
from pathlib import Path

import certifi

from mintonce_server.common.files import as_file


def trust(authorities: bytes | str | None, *, with_system: bool = False) -> ssl.SSLContext:
    """A context that requires TLS 1.2 and a certificate for the host, signed by these CAs or by the system's.

    `authorities`: PEM, or the path of a PEM file; None: the system's. `with_system`: both.
    Raises ValueError if they cannot be read.
    """
    try:
        context = _trusting(authorities)
        if with_system and authorities is not None:
            context.load_verify_locations(*system_authorities())
    except (OSError, ssl.SSLError) as error:
        what = f"ca_file '{authorities}'" if isinstance(authorities, str) else "ca_file"
        raise ValueError(f"{what} cannot be read as PEM certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _trusting(authorities: bytes | str | None) -> ssl.SSLContext:
    if isinstance(authorities, bytes):
        with as_file(authorities) as path:
            return ssl.create_default_context(cafile=path)
    cafile, capath = (authorities, None) if authorities is not None else system_authorities()
    return ssl.create_default_context(cafile=cafile, capath=capath)


def system_authorities() -> tuple[str | None, str | None]:
    """A file and a folder with the CAs of the operating system; those of certifi where it has none.

    The paths are those that OpenSSL was compiled with. SSL_CERT_FILE and SSL_CERT_DIR would silently replace them.
    """
    paths = ssl.get_default_verify_paths()
    cafile = paths.openssl_cafile if Path(paths.openssl_cafile).is_file() else None
    capath = paths.openssl_capath if _has_files(Path(paths.openssl_capath)) else None
    return (cafile, capath) if cafile or capath else (certifi.where(), None)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
