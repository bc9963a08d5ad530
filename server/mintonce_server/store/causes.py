"""What an exception of redis-py means, and what to do about it: in the log, for callers, and in `mintonced check`.

Of the server's own text only the name of a command is repeated, and only where it looks like one: texts may quote what
was sent.
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
_UNKNOWN: Final = re.compile(r"unknown command '?`?(EVAL|EVALSHA|CLUSTER|SENTINEL)\b", re.IGNORECASE)
_TLS_ALERT: Final = "Protocol Error: b'\\x15\\x03"
_CLOSED: Final = "Connection closed by server."
"""As redis-py says it: the other side ended the connection in order, without an answer."""
_HTTP: Final = "Protocol Error: b'HTTP/"

_CLEAR_ANSWERS: Final[dict[type[exceptions.RedisError], tuple[str, str]]] = {
    exceptions.ReadOnlyError: (
        "is a replica, which takes no writes",
        "Write the primary into redis.url, or let Sentinel name it: redis+sentinel://…/SERVICE.",
    ),
    exceptions.MovedError: (
        "belongs to a Cluster",
        "Write redis+cluster://HOST:PORT into redis.url (rediss+cluster:// with TLS).",
    ),
    exceptions.OutOfMemoryError: (
        "has no memory left",
        "Raise its maxmemory. Keep maxmemory-policy noeviction: anything else throws tokens and leases away.",
    ),
    exceptions.BusyLoadingError: ("is still loading its data", "Wait until it is ready."),
    exceptions.MasterDownError: (
        "is a replica that has lost its primary",
        "Start the primary, or write it into redis.url.",
    ),
    exceptions.ClusterDownError: (
        "belongs to a Cluster that is down: some slots have no server",
        "Start the servers of the shard that is missing, or have a replica take its place.",
    ),
}
_TOO_MANY: Final = ("takes no more connections", "Raise its maxclients, or see who holds so many.")
_CODES: Final = {
    "MISCONF": ("cannot write to its disk and takes no writes", "See its log, and make room on its disk."),
    "NOREPLICAS": (
        "has too few replicas to take writes (min-replicas-to-write)",
        "Start its replicas, or lower min-replicas-to-write.",
    ),
    "BUSY": ("is busy with a script of somebody else", "See which one: SCRIPT KILL ends it."),
}
_DATABASES: Final = {
    "DB index is out of range": (
        "has no database of the number that redis.url names",
        "Write a smaller number into redis.url, or raise `databases` there. A Cluster usually has number 0 only.",
    ),
    "SELECT is not allowed in cluster mode": _CLEAR_ANSWERS[exceptions.MovedError],
}
_UNKNOWN_TO: Final = {
    "EVAL": (
        "does not know EVAL: it is a Sentinel, or something in between",
        "For Sentinels write redis+sentinel://HOST:PORT/SERVICE into redis.url; else the server itself.",
    ),
    "SENTINEL": (
        "is no Sentinel",
        "Write redis:// for one server, redis+cluster:// for a Cluster, or the Sentinels' own port (often 26379).",
    ),
    "CLUSTER": (
        "is not part of a Cluster",
        "Write redis:// for one server, or redis+sentinel://HOST:PORT/SERVICE for Sentinels.",
    ),
}


class UnknownService(exceptions.ConnectionError):
    """A Sentinel does not know the service. `service`: as the URL has it."""

    def __init__(self, service: str) -> None:
        super().__init__("the Sentinel does not know the service")  # pyright: ignore[reportUnknownMemberType] # redis-py: untyped
        self.service = service


class NoSlots(exceptions.ConnectionError):
    """A server in cluster mode knows of no server that has slots."""


class NoPrimary(exceptions.ConnectionError):
    """What the Sentinels name is no primary, or cannot be asked."""


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


def store_cause(error: BaseException, name: str, deadline: float) -> Cause:
    """Whatever went wrong with the store of that name. `deadline`: seconds that an operation has."""
    found = list(chain(error))
    for each in found:
        if isinstance(each, UnknownService):
            return Cause(
                f"the Sentinels of {name} do not know the service '{each.service}'",
                "Write the name after `sentinel monitor` in their configuration into redis.url: "
                "redis+sentinel://HOST:PORT/SERVICE.",
            )
        if isinstance(each, NoSlots):
            return Cause(
                f"{name} is in cluster mode, and no server there has slots: the Cluster is not formed",
                "Form it (redis-cli --cluster create HOST:PORT …), or give the slots that it had back to its servers.",
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
    """A server that is of another kind than the URL says, by what HELLO says. "" is not known."""
    if mode == "sentinel":
        return Cause(
            f"{name} is a Sentinel",
            "Write redis+sentinel://HOST,HOST,HOST/SERVICE into redis.url, with the name after `sentinel monitor`.",
        )
    if mode == "cluster" and kind != "cluster":
        return Cause(f"{name} {_CLEAR_ANSWERS[exceptions.MovedError][0]}", _CLEAR_ANSWERS[exceptions.MovedError][1])
    if role in ("replica", "slave"):
        return Cause(
            f"{name} {_CLEAR_ANSWERS[exceptions.ReadOnlyError][0]}", _CLEAR_ANSWERS[exceptions.ReadOnlyError][1]
        )
    return None


def lacking(error: BaseException) -> str:
    """What an ACL does not allow to our user, such as "+evalsha"; "" for another error."""
    denied = next((each for each in chain(error) if isinstance(each, ResponseError)), None)
    text = str(denied)
    if not isinstance(denied, NoPermissionError) and not text.startswith("ACL failure"):
        return ""
    if found := _COMMAND.search(text):
        return f"+{found[1]}"
    return "channel" if "channel" in text else "key" if "key" in text else "command"


def _silent(found: list[BaseException], name: str, deadline: float) -> Cause:
    if any(isinstance(each, TimeoutError | exceptions.TimeoutError) for each in found):
        return Cause(
            f"{name} did not answer within {deadline:g} s",
            "See whether Redis is overloaded, stopped or behind a slow network or a firewall.",
        )
    if any(isinstance(each, NoPrimary) for each in found):
        return Cause(
            f"the Sentinels of {name} name no server that is a primary and can be reached",
            "See whether a failover is under way, and whether this host reaches the address that they name.",
        )
    kind = type(found[0]).__name__
    return Cause(
        f"{name} is out of reach ({kind})", "See whether Redis runs there and the network lets this host reach it."
    )


def _not_let_in(error: exceptions.AuthenticationError, name: str) -> Cause:
    text = str(error)
    if text == "Authentication required.":
        return Cause(
            f"{name} asks for a password, and redis.url has none for it",
            "Write one into redis.url: redis://USER:PASSWORD@HOST:PORT, or redis://:PASSWORD@HOST:PORT for the user "
            "`default`. (Sentinels have their own: sentinel_password.)",
        )
    if "without any password configured" in text or "no password is set" in text:
        return Cause(
            f"{name} has no password, and redis.url gives one",
            "Set the password there (requirepass, or ACL SETUSER), or take it out of redis.url.",
        )
    return Cause(
        f"{name} refused our user name or password",
        "Put the right user name and password into redis.url. (Sentinels have their own: sentinel_password.)",
    )


def _answered(error: exceptions.RedisError, name: str) -> Cause:
    text = str(error)
    if what := lacking(error):
        named = {"channel": "the wake channel", "key": "our keys", "command": "a command"}.get(what, what[1:])
        return Cause(
            f"our user of {name} has no right to {named}",
            "Give it the rights that docs/operating/redis.md lists (ACL SETUSER); `mintonced check` says which.",
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
    # redis-py takes the code off the text where it has a class for it.
    code = _CODE.match(text)
    if code and code[0] in _CODES:
        return Cause(f"{name} {_CODES[code[0]][0]}", _CODES[code[0]][1])
    return Cause(
        f"{name} answered with {code[0] if code else type(error).__name__}",
        "See what this means for the server, and what stands in its log.",
    )


def _garbled(error: BaseException, name: str) -> Cause:
    text = str(error)
    for begin, kind in ((_HTTP, SpeaksHttp()), (_TLS_ALERT, SpeaksTls())):
        if text.startswith(begin) and (cause := cause_of(kind, peer(name))):
            return cause
    return Cause(
        f"{name} answered with something that is not Redis' protocol",
        "See what listens there: Redis itself, or something in between?",
    )
