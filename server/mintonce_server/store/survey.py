"""Looks at one server of a store: its kind, our rights, eviction, persistence. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from redis.exceptions import NoPermissionError, ResponseError

from mintonce_server.common.causes import Cause
from mintonce_server.core.text import printable
from mintonce_server.store.causes import lacking, misplaced
from mintonce_server.store.names import Names
from mintonce_server.store.topology.servers import Shard

_NO_SUCH_SCRIPT: Final = "0" * 40
_LONGEST: Final = 40
_KEEPS_ALL: Final = "noeviction"

Words = tuple[str | int | bytes, ...]


@dataclass(slots=True)
class StoreReport:
    """The result of a check. `notes` are information, not faults."""

    faults: list[Cause] = field(default_factory=list[Cause])
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Access:
    """Our identity and our rights at a store.

    Args:
        kind: of the URL: "single", "sentinel" or "cluster".
        user: our user at the store.
        names: of our keys and our channel.
        sentinel_user: our user at the Sentinels.
    """

    kind: str
    user: str
    names: Names
    sentinel_user: str = "default"

    @property
    def channel(self) -> str:
        """The right to our channel, as ACL SETUSER writes it."""
        return f"&{self.names.wake_channel}"

    @property
    def keys(self) -> str:
        """The right to our keys."""
        return f"~{self.names.keys('*')[0].rpartition(':')[0]}:*"

    def right_of(self, error: BaseException) -> str:
        """The right that an ACL denied; "" for any other error."""
        right = lacking(error)
        return {"channel": self.channel, "key": self.keys}.get(right, right)

    def all_rights(self) -> list[str]:
        """All rights that the service uses."""
        commands = [_right_to(words) for words in _needed(self, "", b"")]
        return [self.keys, self.channel, *commands, "+subscribe"]

    def without(self, missing: Sequence[str], name: str, unseen: Sequence[str] = ()) -> Cause:
        """The rights that our user lacks at the named server, and the command that grants them.

        `unseen`: rights that could not be checked without these. The command grants them, too.
        """
        user = self.sentinel_user if missing[0].startswith("+sentinel") else self.user
        needed = dict.fromkeys([*missing, *unseen])
        # Redis 6.2 refuses a single channel to a user who has all of them, as new users do there.
        words = [f"resetchannels {right}" if right == self.channel else right for right in needed]
        return Cause(
            f"our user of {name} lacks rights: {' '.join(missing)}",
            f"Grant them there: ACL SETUSER {user} {' '.join(words)}",
        )


@dataclass(slots=True)
class Rights:
    """The rights that an ACL denies to us at one server. `unseen`: rights that could not be checked because of that."""

    missing: list[str] = field(default_factory=list[str])
    unseen: list[str] = field(default_factory=list[str])


async def survey(shard: Shard, name: str, access: Access) -> StoreReport:
    """What is known about this server, except our rights. Raises RedisError if it does not answer.

    `name`: its name in the report.
    """
    report = StoreReport()
    hello = await _hello(shard)
    if (wrong := misplaced(name, access.kind, hello.get("mode", ""), hello.get("role", ""))) is not None:
        report.faults.append(wrong)
        return report
    server = " ".join(filter(None, (hello.get("server", ""), hello.get("version", "")))) or "of unknown version"
    info = await _ask(shard, "INFO") or {}
    config = {
        **(await _ask(shard, "CONFIG", "GET", "maxmemory*") or {}),
        **(await _ask(shard, "CONFIG", "GET", "appendonly") or {}),
        **(await _ask(shard, "CONFIG", "GET", "save") or {}),
    }
    evicts, eviction = _eviction(info, config, name)
    report.faults += evicts
    report.notes.append(f"{name}: {server}; {eviction}; {_persistence(info, config)}")
    return report


async def _hello(shard: Shard) -> dict[str, str]:
    """The server's answer to HELLO, which every user may send. Empty if the server does not know the command."""
    try:
        answer = await shard.client.execute_command("HELLO")
    except ResponseError:
        return {}
    return _table(answer)


async def rights_at(shard: Shard, access: Access, key_hash: str, message: bytes) -> Rights:
    """What an ACL denies to us of the commands that scripts and replicas use. Raises RedisError.

    `key_hash`: of a scratch key. `message`: to publish.
    """
    found = Rights()
    keys_seen = False
    for words in _needed(access, key_hash, message):
        named = await _denied(shard, access, words)
        if named and named not in found.missing:
            found.missing.append(named)
        # A server checks the command first, then the keys, then the channel.
        keys_seen = keys_seen or (key_hash in str(words[1:]) and named in ("", access.keys))
    if "+select" in found.missing:  # no connection was established: nothing else was checked
        found.unseen = access.all_rights()
    elif not keys_seen:
        found.unseen.append(access.keys)
    if "+publish" in found.missing:
        found.unseen.append(access.channel)
    return found


async def _denied(shard: Shard, access: Access, words: Words) -> str:
    try:
        await shard.client.execute_command(*words)
    except NoPermissionError as error:
        return access.right_of(error)
    except ResponseError:
        pass  # allowed; the arguments were invalid
    return ""


def _right_to(words: Words) -> str:
    """The right in the syntax of ACL SETUSER."""
    return "+cluster|slots" if words[0] == "CLUSTER" else f"+{str(words[0]).lower()}"


def _needed(access: Access, key_hash: str, message: bytes) -> list[Words]:
    """Each command, in a form that changes nothing: an ACL is checked before the key and the arguments."""
    record, _, meta = access.names.keys(key_hash)
    needed: list[Words] = [
        ("PING",),
        ("EVAL", "return 1", 1, record),
        ("EVALSHA", _NO_SUCH_SCRIPT, 1, record),
        ("HGET", record, "f"),
        ("HKEYS", meta),
        ("HMGET", record, "f", "exp"),
        ("HSET", meta, "f", "1", "an argument too many"),
        ("HDEL", meta, "f"),
        ("HINCRBY", meta, "n", "not a number"),
        ("DEL", record),
        ("PEXPIRE", record, 1),
        ("PEXPIREAT", record, 1),
        ("PTTL", record),
        ("TIME",),
        ("SCAN", 0, "MATCH", access.names.records, "COUNT", 1),
        ("PUBLISH", access.names.wake_channel, message),
    ]
    if access.kind == "sentinel":
        needed.append(("ROLE",))
    if access.kind == "cluster":
        needed += [("CLUSTER", "SLOTS"), ("ASKING",)]
    return needed


async def _ask(shard: Shard, *words: str) -> dict[str, str] | None:
    """A table of texts. None if we may not run the command or the server does not know it."""
    try:
        answer = await shard.client.execute_command(*words)
    except ResponseError:
        return None
    return _table(answer)


def _table(answer: object) -> dict[str, str]:
    """From a mapping, or from a list of alternating names and values."""
    pairs: list[tuple[object, object]] = []
    if isinstance(answer, Mapping):
        pairs = list(cast(Mapping[object, object], answer).items())
    elif isinstance(answer, list):
        flat = cast(list[object], answer)
        pairs = list(zip(flat[::2], flat[1::2], strict=False))
    return {_text(name): _text(value) for name, value in pairs}


def _eviction(info: Mapping[str, str], config: Mapping[str, str], name: str) -> tuple[list[Cause], str]:
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy")
    limit = config.get("maxmemory") or info.get("maxmemory")
    if not policy or limit is None:
        return [], (
            "eviction unknown, because our user may run neither INFO nor CONFIG GET (check that maxmemory-policy is "
            "noeviction)"
        )
    if policy == _KEEPS_ALL:
        return [], "evicts nothing"
    if limit == "0":
        return [], f"evicts nothing, because maxmemory is 0 (its maxmemory-policy would be {policy})"
    return [
        Cause(
            f"{name} evicts keys when its memory is full (maxmemory-policy {policy}): tokens, leases and rejections "
            "would be lost",
            "Run CONFIG SET maxmemory-policy noeviction there, and add it to the server's configuration.",
        )
    ], f"evicts keys ({policy})"


def _persistence(info: Mapping[str, str], config: Mapping[str, str]) -> str:
    log = config.get("appendonly", "yes" if info.get("aof_enabled") == "1" else info.get("aof_enabled"))
    if log is None:
        return "persistence unknown, because our user may run neither INFO nor CONFIG GET"
    snapshots = config.get("save")
    ways = ["the append-only file"] if log == "yes" else []
    ways += ["snapshots"] if snapshots else []
    unsure = ", perhaps snapshots (our user may not run CONFIG GET)" if snapshots is None else ""
    if not ways and not unsure:
        return "does not persist data: after a restart, replicas write their live tokens back"
    return f"persists data by {' and '.join(ways) or 'no append-only file'}{unsure}"


def _text(value: object) -> str:
    return printable(value.decode(errors="replace") if isinstance(value, bytes) else str(value), _LONGEST)
