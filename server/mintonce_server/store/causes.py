"""What an exception of redis-py means, and what to do about it: for the log, callers and `mintonced check`.

The server's text is not repeated, because it may quote what was sent; only a command name that looks like one is.
"""

import re
import ssl
from typing import Final

from redis import exceptions
from redis.exceptions import InvalidResponse, NoPermissionError, ResponseError

from mintonce_server.common.causes import Cause, Peer, SpeaksHttp, SpeaksTls, cause_of, chain

SETTING: Final = "redis.url"

_CODE: Final = re.compile(r"[A-Z]{1,32}\b")
_COMMAND: Final = re.compile(r"permissions to run the '([a-z|]{1,40})' command")
_DENIED_IN_SCRIPT: Final = ("ACL failure", "The user executing the script can't")
"""How servers begin when an ACL denies a command, a key or the channel to a script. The second: Redis before 7.2."""
_UNKNOWN: Final = re.compile(r"unknown command '?`?(EVAL|EVALSHA|CLUSTER|SENTINEL)\b", re.IGNORECASE)
_TLS_ALERT: Final = "Protocol Error: b'\\x15\\x03"
_CLOSED: Final = "Connection closed by server."
"""redis-py's text for a connection that the peer closed properly, without an answer."""
_HTTP: Final = "Protocol Error: b'HTTP/"

_CLEAR_ANSWERS: Final[dict[type[exceptions.RedisError], tuple[str, str]]] = {
    exceptions.ReadOnlyError: (
        "is a replica, which accepts no writes",
        "Set redis.url to the primary, or use Sentinel: redis+sentinel://…/SERVICE.",
    ),
    exceptions.MovedError: (
        "belongs to a Cluster",
        "Set redis.url to redis+cluster://HOST:PORT (rediss+cluster:// with TLS).",
    ),
    exceptions.OutOfMemoryError: (
        "has no memory left",
        "Raise its maxmemory. Keep maxmemory-policy noeviction: any other policy evicts tokens and leases.",
    ),
    exceptions.BusyLoadingError: ("is still loading its data", "Wait until it is ready."),
    exceptions.MasterDownError: (
        "is a replica that has lost its primary",
        "Start the primary, or set redis.url to it.",
    ),
    exceptions.ClusterDownError: (
        "belongs to a Cluster that is down: some slots have no server",
        "Start the servers of the missing shard, or promote a replica.",
    ),
}
_TOO_MANY: Final = ("accepts no more connections", "Raise its maxclients, or check which clients use so many.")
_CODES: Final = {
    "MISCONF": ("cannot write to its disk and accepts no writes", "See its log, and free space on its disk."),
    "NOREPLICAS": (
        "has too few replicas to accept writes (min-replicas-to-write)",
        "Start its replicas, or lower min-replicas-to-write.",
    ),
    "BUSY": ("is busy with another client's script", "SCRIPT KILL ends the script."),
}
_DATABASES: Final = {
    "DB index is out of range": (
        "has no database with the number in redis.url",
        "Use a smaller number in redis.url, or raise `databases` there. A Cluster usually has number 0 only.",
    ),
    "SELECT is not allowed in cluster mode": _CLEAR_ANSWERS[exceptions.MovedError],
}
_UNKNOWN_TO: Final = {
    "EVAL": (
        "does not know EVAL: it is a Sentinel or a proxy",
        "For Sentinels, set redis.url to redis+sentinel://HOST:PORT/SERVICE. Otherwise set it to the server itself.",
    ),
    "SENTINEL": (
        "is not a Sentinel",
        "Use redis:// for one server, redis+cluster:// for a Cluster, or the Sentinels' own port (often 26379).",
    ),
    "CLUSTER": (
        "is not part of a Cluster",
        "Use redis:// for one server, or redis+sentinel://HOST:PORT/SERVICE for Sentinels.",
    ),
}


class UnknownService(exceptions.ConnectionError):
    """A Sentinel does not know the service. `service`: its name in the URL."""

    def __init__(self, service: str) -> None:
        super().__init__("the Sentinel does not know the service")  # pyright: ignore[reportUnknownMemberType] # redis-py: untyped
        self.service = service


class NoSlots(exceptions.ConnectionError):
    """A server in cluster mode knows no server with slots."""


class NoPrimary(exceptions.ConnectionError):
    """The servers that the Sentinels name are not primaries or do not answer."""


def peer(name: str) -> Peer:
    """The store, or a server of it."""
    return Peer(
        name=name,
        setting=SETTING,
        authorities=f"ssl_ca_certs in {SETTING}",
        own=f"ssl_certfile and ssl_keyfile in {SETTING}",
        clear="redis://",
        tls="rediss://",
    )


_KINDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (exceptions.ReadOnlyError, "readonly"),
    (exceptions.ClusterDownError, "clusterdown"),
    (exceptions.MovedError, "moved"),
    (exceptions.TimeoutError, "timeout"),
    (TimeoutError, "timeout"),
    (exceptions.ConnectionError, "connection"),
    (ConnectionError, "connection"),
)


def error_kind(error: BaseException) -> str:
    """One word for metrics: readonly, clusterdown, moved, timeout, connection or other."""
    found = list(chain(error))
    return next((word for kind, word in _KINDS if any(isinstance(each, kind) for each in found)), "other")


def store_cause(error: BaseException, name: str, deadline: float) -> Cause:
    """What went wrong with the named store. `deadline`: seconds for an operation."""
    found = list(chain(error))
    for each in found:
        if isinstance(each, UnknownService):
            return Cause(
                f"the Sentinels of {name} do not know the service '{each.service}'",
                "Use the name after `sentinel monitor` in their configuration: redis+sentinel://HOST:PORT/SERVICE.",
            )
        if isinstance(each, NoSlots):
            return Cause(
                f"{name} is in cluster mode, but no server has slots: the Cluster was not created",
                "Create it (redis-cli --cluster create HOST:PORT …), or assign its former slots to its servers again.",
            )
        if isinstance(each, exceptions.AuthenticationError):
            return _not_let_in(each, name)
        if isinstance(each, ResponseError | exceptions.BusyLoadingError):
            return _answered(each, name)
        if isinstance(each, InvalidResponse | ValueError | RecursionError) and not isinstance(each, ssl.SSLError):
            return _garbled(each, name)
        if str(each) == "max number of clients reached":
            return Cause(f"{name} {_TOO_MANY[0]}", _TOO_MANY[1])
    if any(str(each) == _CLOSED for each in found):
        error = ConnectionResetError()
    if (cause := cause_of(error, peer(name))) is not None:
        return cause
    return _silent(found, name, deadline)


def misplaced(name: str, kind: str, mode: str, role: str) -> Cause | None:
    """A server of another kind than the URL says, by its answer to HELLO. "" for unknown."""
    if mode == "sentinel":
        return Cause(
            f"{name} is a Sentinel",
            "Set redis.url to redis+sentinel://HOST,HOST,HOST/SERVICE, with the name after `sentinel monitor`.",
        )
    if mode == "cluster" and kind != "cluster":
        return Cause(f"{name} {_CLEAR_ANSWERS[exceptions.MovedError][0]}", _CLEAR_ANSWERS[exceptions.MovedError][1])
    if role in ("replica", "slave"):
        return Cause(
            f"{name} {_CLEAR_ANSWERS[exceptions.ReadOnlyError][0]}", _CLEAR_ANSWERS[exceptions.ReadOnlyError][1]
        )
    return None


def lacking(error: BaseException) -> str:
    """The right that an ACL denies to our user, such as "+evalsha"; "" for other errors."""
    denied = next((each for each in chain(error) if isinstance(each, ResponseError)), None)
    text = str(denied)
    if not isinstance(denied, NoPermissionError) and not text.startswith(_DENIED_IN_SCRIPT):
        return ""
    if found := _COMMAND.search(text):
        return f"+{found[1]}"
    return "channel" if "channel" in text else "key" if "key" in text else "command"


def _silent(found: list[BaseException], name: str, deadline: float) -> Cause:
    if any(isinstance(each, TimeoutError | exceptions.TimeoutError) for each in found):
        return Cause(
            f"{name} did not answer within {deadline:g} s",
            "Check whether Redis is overloaded or stopped, or behind a slow network or a firewall.",
        )
    if any(isinstance(each, NoPrimary) for each in found):
        return Cause(
            f"the Sentinels of {name} name no primary that can be reached",
            "Check whether a failover is in progress, and whether this host can reach the address that they name.",
        )
    kind = type(found[0]).__name__
    return Cause(f"{name} cannot be reached ({kind})", "Check that Redis runs there and that this host can reach it.")


def _not_let_in(error: exceptions.AuthenticationError, name: str) -> Cause:
    text = str(error)
    if text == "Authentication required.":
        return Cause(
            f"{name} requires a password, and redis.url has none for it",
            "Add one to redis.url: redis://USER:PASSWORD@HOST:PORT, or redis://:PASSWORD@HOST:PORT for the user "
            "`default`. (Sentinels have their own: sentinel_password.)",
        )
    if "without any password configured" in text or "no password is set" in text:
        return Cause(
            f"{name} has no password, but redis.url has one",
            "Set the password there (requirepass, or ACL SETUSER), or remove it from redis.url.",
        )
    return Cause(
        f"{name} refused our user name or password",
        "Correct the user name and password in redis.url. (Sentinels have their own: sentinel_password.)",
    )


def _answered(error: exceptions.RedisError, name: str) -> Cause:
    text = str(error)
    if what := lacking(error):
        named = {"channel": "the wake channel", "key": "our keys", "command": "a command"}.get(what, what[1:])
        return Cause(
            f"our user of {name} has no right to {named}",
            "Grant the rights that docs/operating/redis.md lists (ACL SETUSER). `mintonced check` shows which "
            "ones are missing.",
        )
    if found := _UNKNOWN.search(text):
        command = found[1].upper().removesuffix("SHA")
        return Cause(f"{name} {_UNKNOWN_TO[command][0]}", _UNKNOWN_TO[command][1])
    if "cluster support disabled" in text:
        return Cause(f"{name} {_UNKNOWN_TO['CLUSTER'][0]}", _UNKNOWN_TO["CLUSTER"][1])
    for words, (what, remedy) in _DATABASES.items():
        if words in text:
            return Cause(f"{name} {what}", remedy)
    for kind, (what, remedy) in _CLEAR_ANSWERS.items():
        if isinstance(error, kind):
            return Cause(f"{name} {what}", remedy)
    # redis-py removes the code from the text if it has an exception class for it.
    code = _CODE.match(text)
    if code and code[0] in _CODES:
        return Cause(f"{name} {_CODES[code[0]][0]}", _CODES[code[0]][1])
    return Cause(
        f"{name} answered with {code[0] if code else type(error).__name__}",
        "Look up this error code, and see the server's log.",
    )


def _garbled(error: BaseException, name: str) -> Cause:
    text = str(error)
    for begin, kind in ((_HTTP, SpeaksHttp()), (_TLS_ALERT, SpeaksTls())):
        if text.startswith(begin) and (cause := cause_of(kind, peer(name))):
            return cause
    return Cause(
        f"{name} does not speak the Redis protocol",
        "Check which server listens there: Redis itself, or a proxy.",
    )
