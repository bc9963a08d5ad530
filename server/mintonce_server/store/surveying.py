"""Looks at one server of a store: its kind, our rights, whether it evicts, what it keeps. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from redis.exceptions import NoPermissionError, ResponseError

from mintonce_server.common.causes import Cause
from mintonce_server.core.text import printable
from mintonce_server.store.causes import lacking, misplaced
from mintonce_server.store.names import Names
from mintonce_server.store.topology import Part

_NO_SUCH_SCRIPT: Final = "0" * 40
_LONGEST: Final = 40
_KEEPS_ALL: Final = "noeviction"

Words = tuple[str | int | bytes, ...]


@dataclass(slots=True)
class Proof:
    """What was found. `notes`: what one should know, and no fault."""

    faults: list[Cause] = field(default_factory=list[Cause])
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Ours:
    """What we are in a store.

    Args:
        kind: of the URL: "single", "sentinel" or "cluster".
        user: our name there.
        names: of our keys and our channel.
        sentinel_user: our name at the Sentinels.
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
        """What an ACL denied; "" where it was not the ACL."""
        right = lacking(error)
        return {"channel": self.channel, "key": self.keys}.get(right, right)

    def all_rights(self) -> list[str]:
        """All that the service uses."""
        commands = [_right_to(words) for words in _needed(self, "", b"")]
        return [self.keys, self.channel, *commands, "+subscribe"]

    def without(self, missing: Sequence[str], name: str, unseen: Sequence[str] = ()) -> Cause:
        """Rights that our user lacks at the server of that name, and the command that gives them.

        `unseen`: those that could not be looked at without these. They are given, too.
        """
        user = self.sentinel_user if missing[0].startswith("+sentinel") else self.user
        needed = list(dict.fromkeys([*missing, *unseen]))
        return Cause(
            f"our user of {name} lacks rights: {' '.join(missing)}",
            f"Give them there: ACL SETUSER {user} {' '.join(needed)}",
        )


@dataclass(slots=True)
class Rights:
    """What an ACL denies to us at one server. `unseen`: what could not be looked at because of that."""

    missing: list[str] = field(default_factory=list[str])
    unseen: list[str] = field(default_factory=list[str])


async def survey(part: Part, name: str, ours: Ours) -> Proof:
    """What can be said about this server, but for our rights. Raises RedisError where it does not answer.

    `name`: what it is called in the proof.
    """
    proof = Proof()
    hello = await _hello(part)
    if (wrong := misplaced(name, ours.kind, hello.get("mode", ""), hello.get("role", ""))) is not None:
        proof.faults.append(wrong)
        return proof
    server = " ".join(filter(None, (hello.get("server", ""), hello.get("version", "")))) or "of unknown version"
    info = await _ask(part, "INFO") or {}
    config = {
        **(await _ask(part, "CONFIG", "GET", "maxmemory*") or {}),
        **(await _ask(part, "CONFIG", "GET", "appendonly") or {}),
        **(await _ask(part, "CONFIG", "GET", "save") or {}),
    }
    evicts, eviction = _eviction(info, config, name)
    proof.faults += evicts
    proof.notes.append(f"{name}: {server}; {eviction}; {_persistence(info, config)}")
    return proof


async def _hello(part: Part) -> dict[str, str]:
    """What the server says of itself; every user may ask. Empty where it does not know the command."""
    try:
        said = await part.client.execute_command("HELLO")
    except ResponseError:
        return {}
    return _table(said)


async def rights_at(part: Part, ours: Ours, key_hash: str, message: bytes) -> Rights:
    """What an ACL denies to us, of all that the scripts and the replica use. Raises RedisError.

    `key_hash`: a scratch key's. `message`: to publish.
    """
    found = Rights()
    keys_seen = False
    for words in _needed(ours, key_hash, message):
        named = await _denied(part, ours, words)
        if named and named not in found.missing:
            found.missing.append(named)
        # A server looks at the command first, then at the keys, then at the channel.
        keys_seen = keys_seen or (key_hash in str(words[1:]) and named in ("", ours.keys))
    if "+select" in found.missing:  # no connection came to be: nothing else was looked at
        found.unseen = ours.all_rights()
    elif not keys_seen:
        found.unseen.append(ours.keys)
    if "+publish" in found.missing:
        found.unseen.append(ours.channel)
    return found


async def _denied(part: Part, ours: Ours, words: Words) -> str:
    try:
        await part.client.execute_command(*words)
    except NoPermissionError as error:
        return ours.right_of(error)
    except ResponseError:
        pass  # allowed; it had nothing to work on
    return ""


def _right_to(words: Words) -> str:
    """As ACL SETUSER writes it."""
    return "+cluster|slots" if words[0] == "CLUSTER" else f"+{str(words[0]).lower()}"


def _needed(ours: Ours, key_hash: str, message: bytes) -> list[Words]:
    """Each command, so that it changes nothing: an ACL is looked at before the key and the arguments are."""
    record, _, meta = ours.names.keys(key_hash)
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
        ("SCAN", 0, "MATCH", ours.names.records, "COUNT", 1),
        ("PUBLISH", ours.names.wake_channel, message),
    ]
    if ours.kind == "sentinel":
        needed.append(("ROLE",))
    if ours.kind == "cluster":
        needed += [("CLUSTER", "SLOTS"), ("ASKING",)]
    return needed


async def _ask(part: Part, *words: str) -> dict[str, str] | None:
    """A table of texts. None where we have no right to see it, or it is not known."""
    try:
        said = await part.client.execute_command(*words)
    except ResponseError:
        return None
    return _table(said)


def _table(said: object) -> dict[str, str]:
    """Of a mapping, or of a list in which names and values take turns."""
    pairs: list[tuple[object, object]] = []
    if isinstance(said, Mapping):
        pairs = list(cast(Mapping[object, object], said).items())
    elif isinstance(said, list):
        flat = cast(list[object], said)
        pairs = list(zip(flat[::2], flat[1::2], strict=False))
    return {_text(name): _text(value) for name, value in pairs}


def _eviction(info: Mapping[str, str], config: Mapping[str, str], name: str) -> tuple[list[Cause], str]:
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy")
    limit = config.get("maxmemory") or info.get("maxmemory")
    if not policy or limit is None:
        return [], (
            "whether it evicts could not be told, since our user may run neither INFO nor CONFIG GET (see that "
            "maxmemory-policy is noeviction)"
        )
    if policy == _KEEPS_ALL:
        return [], "evicts nothing"
    if limit == "0":
        return [], f"evicts nothing, since maxmemory is 0 (its maxmemory-policy would be {policy})"
    return [
        Cause(
            f"{name} evicts keys when its memory is full (maxmemory-policy {policy}): tokens, leases and rejections "
            "would be lost",
            "Set there: CONFIG SET maxmemory-policy noeviction, and write it into its configuration.",
        )
    ], f"evicts keys ({policy})"


def _persistence(info: Mapping[str, str], config: Mapping[str, str]) -> str:
    log = config.get("appendonly", "yes" if info.get("aof_enabled") == "1" else info.get("aof_enabled"))
    if log is None:
        return "its persistence could not be told, since our user may run neither INFO nor CONFIG GET"
    snapshots = config.get("save")
    ways = ["the append-only file"] if log == "yes" else []
    ways += ["snapshots"] if snapshots else []
    unsure = ", perhaps snapshots (our user may not run CONFIG GET)" if snapshots is None else ""
    if not ways and not unsure:
        return "keeps nothing on disk: after a restart replicas write their live tokens back"
    return f"keeps data by {' and '.join(ways) or 'no append-only file'}{unsure}"


def _text(value: object) -> str:
    return printable(value.decode(errors="replace") if isinstance(value, bytes) else str(value), _LONGEST)
