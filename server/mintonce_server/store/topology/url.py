"""Redis URLs: what each kind may say. config/values.py says the same to people, with a remedy for each fault."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLContext
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote

from mintonce_server.common.network import hosts_of, split_hosts_url
from mintonce_server.store.topology.address import Address

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
SCHEMES: Final = tuple(_KINDS)

TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"})
SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})

_MALFORMED: Final = (
    "the Redis URL is malformed: write it as redis://[[user]:password@]host[:port][/db], unix://[[user]:password@]/path"
    "?db=0, redis+sentinel://[[user]:password@]host1[:port],host2,host3/SERVICE[/db] or redis+cluster://"
    "[[user]:password@]host1[:port],host2, with the special characters of the password percent-encoded"
)
_WORDS_OF_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Target:
    """A Redis URL, read.

    Args:
        name: for people; without user, password and options.
        addresses: of the server, of the Sentinels, or of some servers of the Cluster. None for a Unix socket.
        service: what the Sentinels call it.
        options: the query's TLS options.
        context: made of the files that they name; None: made of them when it is needed.
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
        return _WORDS_OF_TRUTH[dict(self.options).get("ssl_check_hostname", "true").lower()]

    @property
    def verified(self) -> bool:
        """Whether a certificate must be of a known authority."""
        return dict(self.options).get("ssl_cert_reqs", "required") != "none"

    def is_same_store(self, other: "Target") -> bool:
        """Whether they differ in nothing but users and passwords."""
        mine, its = (
            replace(each, username=None, password=None, sentinel_username=None, sentinel_password=None)
            for each in (self, other)
        )
        return mine == its

    def file(self, option: str) -> Path | None:
        """Named by one of the TLS options."""
        named = dict(self.options).get(option)
        return Path(named) if named else None


def read(url: str) -> Target:
    """Raises ValueError, whose text repeats nothing of the URL but names of options."""
    scheme = url.partition("://")[0]
    if scheme not in _KINDS:
        # What stands there is not shown: without "://" it is the whole text, perhaps with a password.
        schemes = ", ".join(f"{known}://" for known in SCHEMES)
        raise ValueError(f"the Redis URL's scheme is not known: use one of {schemes}")
    kind, tls = _KINDS[scheme]
    try:
        return _read(split_hosts_url(url), kind, tls)
    except _Fault:
        raise
    except ValueError:
        # Not chained: the parser quotes what it could not read, and that may be a piece of a password.
        raise ValueError(_MALFORMED) from None


class _Fault(ValueError):
    """One that names its cause, and may be shown."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the Redis URL {what}")


def _read(parts: SplitResult, kind: Kind, tls: bool) -> Target:
    if parts.fragment or (parts.scheme != "unix" and "@" in parts.path + parts.query):
        # Signs of a password that is not percent-encoded: then nothing of what follows may be shown.
        raise ValueError("not a URL")
    userinfo = parts.netloc.rpartition("@")[0]
    username, _, password = userinfo.partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    _check(query, kind, tls)
    path, service, addresses = "", "", tuple[Address, ...]()
    if parts.scheme == "unix":
        path, db = unquote(parts.path), query.get("db", "0")
        if not path.startswith("/"):
            raise _Fault("begins with unix:// but names no socket by an absolute path")
    else:
        port = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
        hosts = hosts_of(parts)
        if hosts == [""] and kind == "single":
            hosts = ["localhost"]
        addresses = tuple(Address.read(host, port) for host in hosts)
        service, db = _path(parts.path, kind)
        db = query.get("db", db)
    if kind == "single" and len(addresses) > 1:
        raise _Fault("names more than one host: for that, write redis+sentinel:// or redis+cluster://")
    return Target(
        kind=kind,
        name=path or ",".join(map(str, addresses)) + (f"/{service}" if service else ""),
        addresses=addresses,
        path=path,
        service=service,
        db=_number(db, kind),
        tls=tls,
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_username=query.get("sentinel_username") or None,
        sentinel_password=query.get("sentinel_password") or None,
        options=tuple((name, value) for name, value in query.items() if name in TLS_OPTIONS),
    )


def _path(path: str, kind: Kind) -> tuple[str, str]:
    """Service and database."""
    words = [unquote(word) for word in path.strip("/").split("/")] if path.strip("/") else []
    if kind != "sentinel":
        return "", "/".join(words) or "0"
    if not words:
        raise _Fault(
            "does not say which service the Sentinels watch: write redis+sentinel://host1,host2,host3/SERVICE/0"
        )
    return words[0], "/".join(words[1:]) or "0"


def _number(db: str, kind: Kind) -> int:
    if not (db.isascii() and db.isdigit()):
        raise _Fault("names a database that is not a number")
    if kind == "cluster" and int(db) != 0:
        raise _Fault("names a database, and a Cluster has number 0 only: leave the path out")
    return int(db)


def _check(query: dict[str, str], kind: Kind, tls: bool) -> None:
    known = {"db"} if kind == "single" else set[str]()
    known |= (TLS_OPTIONS if tls else set()) | (SENTINEL_OPTIONS if kind == "sentinel" else set())
    unknown = sorted(query.keys() - known)
    if unknown:
        have = ", ".join(sorted(known)) or "none"
        raise _Fault(f"has options that are not known here ({', '.join(unknown)}); known: {have}")
    if query.get("ssl_check_hostname", "true").lower() not in _WORDS_OF_TRUTH:
        raise _Fault("has a ssl_check_hostname that is neither true nor false")
    if query.get("ssl_cert_reqs", "required") not in ("required", "none"):
        raise _Fault("has a ssl_cert_reqs that is neither required nor none")
    if "ssl_keyfile" in query and "ssl_certfile" not in query:
        raise _Fault("has ssl_keyfile without ssl_certfile")
