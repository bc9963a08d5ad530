"""What a Redis URL may contain, and the TLS files that it names. Each error has a remedy.

The store parses the URL again by itself (store/topology/url.py).
"""

import ssl
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl

from mintonce_server.common.files import FileError, read_file, require_not_writable, require_private
from mintonce_server.common.network import hosts_of, read_address, split_hosts_url
from mintonce_server.common.pem import PemError, holds_certificates, load_pair

SINGLE: Final = ("redis", "rediss", "unix")
SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
CLUSTER: Final = ("redis+cluster", "rediss+cluster")

TLS_FILE_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_OPTIONS: Final = (*TLS_FILE_OPTIONS, "ssl_check_hostname", "ssl_cert_reqs")
SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
_WORDS: Final = {
    "ssl_check_hostname": ("true", "1", "yes", "false", "0", "no"),
    "ssl_cert_reqs": ("required", "none"),
}

_MALFORMED: Final = "is not a URL: its host or port is malformed"
REMEDY: Final = (
    "Write redis://HOST:PORT/DB, redis+sentinel://HOST,HOST,HOST/SERVICE/DB, redis+cluster://HOST,HOST "
    "(rediss… with TLS), or unix:///PATH, with the special characters of a password percent-encoded."
)


class _Invalid(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str = REMEDY) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def redis_url_error(url: str) -> tuple[str, str] | None:
    """What is wrong with the URL, and the remedy. Repeats nothing of the URL but names of options."""
    try:
        _check(url)
    except _Invalid as error:
        return error.what, error.remedy
    return None


def without_secrets(url: str) -> str:
    """The URL without user, password and options."""
    parts = split_hosts_url(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_encrypted(url: str) -> bool:
    """Whether the URL selects TLS."""
    return url.startswith("rediss")


def _check(url: str) -> None:
    parts = _split_or_none(url)
    if parts is None or parts.fragment:
        raise _Invalid(_MALFORMED)
    if parts.scheme not in (*SINGLE, *SENTINEL, *CLUSTER):
        raise _Invalid("is not a URL of a Redis or Valkey server")
    if parts.scheme != "unix":
        _check_hosts(parts)
        _check_path(parts)
    elif not parts.path.startswith("/"):
        raise _Invalid("does not name a socket by an absolute path")
    _check_options(parts)


def _check_hosts(parts: SplitResult) -> None:
    hosts = hosts_of(parts)
    if "@" in parts.path + parts.query:
        # An unescaped password would end the host early.
        raise _Invalid(_MALFORMED)
    if len(hosts) > 1 and parts.scheme in SINGLE:
        raise _Invalid("names more than one host")
    may_be_empty = hosts == [""] and parts.scheme in SINGLE
    if not may_be_empty and not all(map(_is_host, hosts)):
        raise _Invalid(_MALFORMED)


def _check_path(parts: SplitResult) -> None:
    words = [word for word in parts.path.split("/") if word]
    if parts.scheme in SENTINEL:
        if not words:
            raise _Invalid("does not name the service that the Sentinels watch")
        del words[0]
    if len(words) > 1 or not all(word.isascii() and word.isdigit() for word in words):
        raise _Invalid("names a database that is not a number")
    if parts.scheme in CLUSTER and words not in ([], ["0"]):
        raise _Invalid("names a database, but a Cluster has only number 0")


def _check_options(parts: SplitResult) -> None:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known: tuple[str, ...] = ("db",) if parts.scheme in SINGLE else ()
    known += TLS_OPTIONS if parts.scheme.startswith("rediss") else ()
    known += SENTINEL_OPTIONS if parts.scheme in SENTINEL else ()
    unknown = sorted(options.keys() - set(known))
    if unknown:
        remedy = f"Known options: {', '.join(known)}." if known else "Remove the options."
        raise _Invalid(f"has unknown options: {', '.join(unknown)}", remedy)
    if not options.get("db", "0").isdigit():
        raise _Invalid("names a database that is not a number")
    for name, words in _WORDS.items():
        if options.get(name, words[0]).lower() not in words:
            raise _Invalid(f"has an option {name} with an unknown value", f"Use one of {', '.join(words)}.")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise _Invalid("has ssl_keyfile without ssl_certfile", "Set both, or a ssl_certfile that contains both.")


def _is_host(text: str) -> bool:
    try:
        read_address(text, default_port=1)
    except ValueError:
        return False
    return True


def _split_or_none(url: str) -> SplitResult | None:
    try:
        return split_hosts_url(url)
    except ValueError:
        return None


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
