"""The TLS files that a Redis URL names: whether they are there, can be read, and fit each other."""

import ssl
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

from mintonce_server.common.urls import split_hosts_url
from mintonce_server.config.files import FileFault, read_regular, refuse_if_open, refuse_if_writable

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_MISMATCH = "KEY_VALUES_MISMATCH"
_PEM = "Write certificate (-----BEGIN CERTIFICATE-----) and key in PEM, the key without a password."


def file_faults(url: str) -> Iterator[tuple[str, str]]:
    """What is wrong with each file, and the remedy. The URL itself is valid."""
    files = _named(url)
    faulty = False
    for option, file in files.items():
        if (fault := _unusable(option, file, guard_of(option, files))) is not None:
            faulty = True
            yield fault
    if not faulty:
        yield from _authorities(files)
        yield from _pair(files)


def _named(url: str) -> dict[str, Path]:
    options = dict(parse_qsl(split_hosts_url(url).query))
    return {option: Path(options[option]) for option in FILES if options.get(option)}


def guard_of(option: str, files: Collection[str]) -> Callable[[Path], None]:
    """Who may get at the file of one of these options: only this user where a key is in it. Raises FileFault."""
    holds_key = option == "ssl_keyfile" or (option == "ssl_certfile" and "ssl_keyfile" not in files)
    return refuse_if_open if holds_key else refuse_if_writable


def _unusable(option: str, file: Path, guard: Callable[[Path], None]) -> tuple[str, str] | None:
    try:
        read_regular(file)
        guard(file)
    except FileFault as error:
        return f"names '{file}' as {option}: {error}", error.remedy
    return None


def _authorities(files: dict[str, Path]) -> Iterator[tuple[str, str]]:
    if "ssl_ca_certs" not in files:
        return
    file = files["ssl_ca_certs"]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        yield (
            f"names '{file}' as ssl_ca_certs, which holds no certificates in PEM",
            "Name the certificate of the authority that signs Redis' certificate (-----BEGIN CERTIFICATE-----).",
        )


def _pair(files: dict[str, Path]) -> Iterator[tuple[str, str]]:
    if "ssl_certfile" not in files:
        return
    certificate, key = files["ssl_certfile"], files.get("ssl_keyfile")
    held = f"'{key}' as ssl_keyfile" if key else f"'{certificate}' as ssl_certfile, without ssl_keyfile"
    try:
        # The password is never asked for: a prompt would hang a service.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        if getattr(error, "reason", None) == _MISMATCH:
            yield (
                f"names {held}, which is not the key of the certificate in '{certificate}' (ssl_certfile)",
                "Name the key that was made with the certificate. Replace both files together.",
            )
        else:
            beside = f" and '{key}' as ssl_keyfile" if key else ", without ssl_keyfile"
            yield f"names '{certificate}' as ssl_certfile{beside}: they hold no certificate and open key in PEM", _PEM
