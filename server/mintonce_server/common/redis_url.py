"""The grammar of Redis URLs, for the settings and for the store."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLContext
from typing import Final, Literal, NamedTuple, Self
from urllib.parse import SplitResult, parse_qsl, unquote

from mintonce_server.common.network import hosts_of, read_address, split_hosts_url

Kind = Literal["single", "sentinel", "cluster"]

SENTINEL_PORT: Final = 26_379
REDIS_PORT: Final = 6379

_KINDS: Final[dict[str, tuple[Kind, bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}

_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_WORDS: Final = {"ssl_check_hostname": tuple(_TRUTH), "ssl_cert_reqs": ("required", "none")}
"""Options with a fixed set of values, the default first."""
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", *_WORDS)
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")

_MALFORMED: Final = "is malformed"
_REMEDY: Final = (
    "Write redis://USER:PASSWORD@HOST:PORT/DB, redis+sentinel://HOST,HOST,HOST/SERVICE/DB, "
    "redis+cluster://HOST,HOST (rediss… with TLS), or unix:///PATH. USER:PASSWORD@, :PORT and /DB may be left out; "
    "special characters of the password are percent-encoded."
)


class RedisUrlError(ValueError):
    """The URL cannot be used. Nothing of the URL is shown but names of options.

    Attributes:
        what: completes "the Redis URL …".
        remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str = _REMEDY) -> None:
        super().__init__(f"the Redis URL {what}. {remedy}")
        self.what = what
        self.remedy = remedy


class Address(NamedTuple):
    """A TCP server's address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def read(cls, text: str, default_port: int) -> Self:
        """`host`, `host:port`, `[IPv6]` or `[IPv6]:port`. Raises ValueError."""
        return cls(*read_address(text, default_port))


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed Redis URL.

    Args:
        name: for messages; without user, password and options.
        addresses: of the server, of the Sentinels, or of some servers of the Cluster. Empty for a Unix socket.
        service: its name at the Sentinels.
        options: the TLS options in the query.
        context: made from the files that they name; None: made from them when it is needed.
    """

    kind: Kind
    name: str
    addresses: tuple[Address, ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = ()
    context: SSLContext | None = field(default=None, repr=False, compare=False)

    @property
    def check_hostname(self) -> bool:
        """Whether a certificate must name the host."""
        return _TRUTH[dict(self.options).get("ssl_check_hostname", "true").lower()]

    @property
    def verified(self) -> bool:
        """Whether a certificate must be signed by a trusted CA."""
        return dict(self.options).get("ssl_cert_reqs", "required").lower() != "none"

    def is_same_store(self, other: "Target") -> bool:
        """Whether they differ in users and passwords at most."""
        mine, its = (
            replace(each, username=None, password=None, sentinel_username=None, sentinel_password=None)
            for each in (self, other)
        )
        return mine == its

    def file(self, option: str) -> Path | None:
        """The file that one of the TLS options names."""
        named = dict(self.options).get(option)
        return Path(named) if named else None


def parse_redis_url(url: str) -> Target:
    """Raises RedisUrlError."""
    scheme = url.partition("://")[0]
    if scheme not in _KINDS:
        # The scheme is not shown: without "://" it is the whole text, perhaps with a password.
        raise RedisUrlError("has an unknown scheme", f"Use one of {', '.join(f'{known}://' for known in _KINDS)}.")
    try:
        return _target(split_hosts_url(url), *_KINDS[scheme])
    except RedisUrlError:
        raise
    except ValueError:
        # Not chained: the parser quotes what it could not read, which may be a part of a password.
        raise RedisUrlError(_MALFORMED) from None


def without_secrets(url: str) -> str:
    """The URL without user, password and options."""
    parts = split_hosts_url(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _target(parts: SplitResult, kind: Kind, tls: bool) -> Target:
    if parts.fragment or (parts.scheme != "unix" and "@" in parts.path + parts.query):
        # Signs of a password that is not percent-encoded: nothing of what follows may be shown.
        raise RedisUrlError(_MALFORMED)
    username, _, password = parts.netloc.rpartition("@")[0].partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    _check_options(query, kind, tls)
    path, service, addresses, db = "", "", tuple[Address, ...](), ""
    if parts.scheme == "unix":
        path = unquote(parts.path)
        if not path.startswith("/"):
            raise RedisUrlError("has no absolute path of a socket")
    else:
        addresses = _addresses(hosts_of(parts), kind)
        service, db = _service_and_db(parts.path, kind)
    return Target(
        kind=kind,
        name=path or ",".join(map(str, addresses)) + (f"/{service}" if service else ""),
        addresses=addresses,
        path=path,
        service=service,
        db=_number(query.get("db", db or "0"), kind),
        tls=tls,
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=query.get("sentinel_username") or None,
        sentinel_password=query.get("sentinel_password") or None,
        options=tuple((name, value) for name, value in query.items() if name in _TLS_OPTIONS),
    )


def _addresses(hosts: list[str], kind: Kind) -> tuple[Address, ...]:
    if hosts == [""] and kind == "single":
        hosts = ["localhost"]
    port = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
    addresses = tuple(Address.read(host, port) for host in hosts)
    if kind == "single" and len(addresses) > 1:
        raise RedisUrlError("names more than one host", "For several hosts, use redis+sentinel:// or redis+cluster://.")
    return addresses


def _service_and_db(path: str, kind: Kind) -> tuple[str, str]:
    words = [unquote(word) for word in path.strip("/").split("/")] if path.strip("/") else []
    if kind != "sentinel":
        return "", "/".join(words)
    if not words:
        raise RedisUrlError(
            "does not say which service the Sentinels monitor", "Write redis+sentinel://HOST,HOST,HOST/SERVICE/DB."
        )
    return words[0], "/".join(words[1:])


def _number(db: str, kind: Kind) -> int:
    if not (db.isascii() and db.isdigit()):
        raise RedisUrlError("names a database that is not a number")
    if kind == "cluster" and int(db) != 0:
        raise RedisUrlError("names a database, but a Cluster has number 0 only", "Leave the path out.")
    return int(db)


def _check_options(query: dict[str, str], kind: Kind, tls: bool) -> None:
    known: tuple[str, ...] = ("db",) if kind == "single" else ()
    known += (_TLS_OPTIONS if tls else ()) + (_SENTINEL_OPTIONS if kind == "sentinel" else ())
    if unknown := sorted(query.keys() - set(known)):
        raise RedisUrlError(
            f"has unknown options ({', '.join(unknown)})",
            f"Known options: {', '.join(known)}." if known else "Leave the options out.",
        )
    for name, words in _WORDS.items():
        if query.get(name, words[0]).lower() not in words:
            raise RedisUrlError(f"has an invalid value of {name}", f"Write one of {', '.join(words)}.")
    if "ssl_keyfile" in query and "ssl_certfile" not in query:
        raise RedisUrlError("has ssl_keyfile without ssl_certfile", "Name both, or a ssl_certfile that holds both.")
