"""What the settings need to know of a Redis URL; common/redis_url.py has the grammar."""

import ssl
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from mintonce_server.common.files import FileError, read_file, require_not_writable, require_private
from mintonce_server.common.network import split_hosts_url
from mintonce_server.common.pem import PemError, holds_certificates, load_pair
from mintonce_server.common.redis_url import RedisUrlError, parse_redis_url
from mintonce_server.common.redis_url import without_secrets as without_secrets

TLS_FILE_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def redis_url_error(url: str) -> tuple[str, str] | None:
    """What is wrong with the URL, and the remedy. Repeats nothing of the URL but names of options."""
    try:
        parse_redis_url(url)
    except RedisUrlError as error:
        return error.what, error.remedy
    return None


def is_encrypted(url: str) -> bool:
    """Whether the URL selects TLS."""
    return url.startswith("rediss")


def access_check_of(option: str, files: Collection[str]) -> Callable[[Path], None]:
    """The access check for the file of one of TLS_FILE_OPTIONS: a file with a private key must be private."""
    holds_key = option == "ssl_keyfile" or (option == "ssl_certfile" and "ssl_keyfile" not in files)
    return require_private if holds_key else require_not_writable


def tls_file_errors(url: str) -> Iterator[tuple[str, str]]:
    """What is wrong with each TLS file that a valid URL names, and the remedy."""
    options = dict(parse_qsl(split_hosts_url(url).query))
    files = {option: Path(options[option]) for option in TLS_FILE_OPTIONS if options.get(option)}
    contents: dict[str, bytes] = {}
    has_failed = False
    for option, file in files.items():
        try:
            contents[option] = read_file(file)
            access_check_of(option, files)(file)
        except FileError as error:
            yield f"names '{file}' as {option}, which {error}", error.remedy
            has_failed = True
    if has_failed:
        return
    if "ssl_ca_certs" in contents and not holds_certificates(contents["ssl_ca_certs"]):
        yield (
            f"names '{files['ssl_ca_certs']}' as ssl_ca_certs, which holds no certificates in PEM",
            "Name the certificate of the authority that signs Redis' certificate (-----BEGIN CERTIFICATE-----).",
        )
    if "ssl_certfile" in contents:
        yield from _pair_errors(files, contents)


def _pair_errors(files: dict[str, Path], contents: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    certificate, key = files["ssl_certfile"], files.get("ssl_keyfile")
    try:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), contents["ssl_certfile"], contents.get("ssl_keyfile"))
    except PemError as error:
        if error.part == "pair":
            held = f"'{key}' as ssl_keyfile" if key else f"'{certificate}' as ssl_certfile, without ssl_keyfile"
            yield (
                f"names {held}, which is not the key of the certificate in '{certificate}' (ssl_certfile)",
                "Name the key that was generated with the certificate. Replace both files together.",
            )
        else:
            and_key = f" and '{key}' as ssl_keyfile" if key else ", without ssl_keyfile"
            yield (
                f"names '{certificate}' as ssl_certfile{and_key}: they hold no certificate and unencrypted key in PEM",
                "Write certificate (-----BEGIN CERTIFICATE-----) and key in PEM, the key without a password.",
            )
