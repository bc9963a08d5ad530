"""What a Redis URL may say. The store reads it by itself (store/topology/url.py); here each fault gets its remedy."""

from typing import Final
from urllib.parse import SplitResult, parse_qsl

from mintonce_server.common.urls import hosts_of, read_address, split_hosts_url

SINGLE: Final = ("redis", "rediss", "unix")
SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
CLUSTER: Final = ("redis+cluster", "rediss+cluster")

TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs")
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


class _Wrong(Exception):
    """What, and what to do about it."""

    def __init__(self, what: str, remedy: str = REMEDY) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def fault_in(url: str) -> tuple[str, str] | None:
    """What is wrong, and the remedy. Shows nothing of the URL but names of options."""
    try:
        _check(url)
    except _Wrong as wrong:
        return wrong.what, wrong.remedy
    return None


def without_secrets(url: str) -> str:
    """The URL without user, password and options."""
    parts = split_hosts_url(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_encrypted(url: str) -> bool:
    """Whether it asks for TLS."""
    return url.startswith("rediss")


def _check(url: str) -> None:
    parts = _split_or_none(url)
    if parts is None or parts.fragment:
        raise _Wrong(_MALFORMED)
    if parts.scheme not in (*SINGLE, *SENTINEL, *CLUSTER):
        raise _Wrong("is not a URL of a Redis or Valkey server")
    if parts.scheme != "unix":
        _check_hosts(parts)
        _check_path(parts)
    elif not parts.path.startswith("/"):
        raise _Wrong("names no socket by an absolute path")
    _check_options(parts)


def _check_hosts(parts: SplitResult) -> None:
    hosts = hosts_of(parts)
    if "@" in parts.path + parts.query:
        # A password that is not percent-encoded ends the host too early.
        raise _Wrong(_MALFORMED)
    if len(hosts) > 1 and parts.scheme in SINGLE:
        raise _Wrong("names more than one host")
    may_be_empty = hosts == [""] and parts.scheme in SINGLE
    if not may_be_empty and not all(map(_is_host, hosts)):
        raise _Wrong(_MALFORMED)


def _check_path(parts: SplitResult) -> None:
    words = [word for word in parts.path.split("/") if word]
    if parts.scheme in SENTINEL:
        if not words:
            raise _Wrong("does not say which service the Sentinels watch")
        del words[0]
    if len(words) > 1 or not all(word.isascii() and word.isdigit() for word in words):
        raise _Wrong("names a database that is not a number")
    if parts.scheme in CLUSTER and words not in ([], ["0"]):
        raise _Wrong("names a database, and a Cluster has number 0 only")


def _check_options(parts: SplitResult) -> None:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known: tuple[str, ...] = ("db",) if parts.scheme in SINGLE else ()
    known += TLS_OPTIONS if parts.scheme.startswith("rediss") else ()
    known += SENTINEL_OPTIONS if parts.scheme in SENTINEL else ()
    unknown = sorted(options.keys() - set(known))
    if unknown:
        have = f"Known are {', '.join(known)}." if known else "Leave the options out."
        raise _Wrong(f"has options that are not known: {', '.join(unknown)}", have)
    if not options.get("db", "0").isdigit():
        raise _Wrong("names a database that is not a number")
    for name, words in _WORDS.items():
        if options.get(name, words[0]).lower() not in words:
            raise _Wrong(f"has an option {name} that is none of its words", f"Write one of {', '.join(words)}.")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise _Wrong("has ssl_keyfile without ssl_certfile", "Name both, or a ssl_certfile that holds both.")


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
