"""Looks at one server of a store: its kind, our rights, whether it evicts, what it keeps. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from redis.exceptions import NoPermissionError, ResponseError

from mintonce_server.common.causes import Cause
from mintonce_server.core.text import printable
from mintonce_server.store.causes import lacking, misplaced
from mintonce_server.store.names import Names
from mintonce_server.store.servers import Part

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
    """

    kind: str
    user: str
    names: Names

    def right_of(self, error: BaseException) -> str:
        """What an ACL denied, as ACL SETUSER writes it; "" where it was not the ACL."""
        right = lacking(error)
        keys = f"~{self.names.keys('*')[0].rpartition(':')[0]}:*"
        return {"channel": f"&{self.names.wake_channel}", "key": keys}.get(right, right)

    def without(self, missing: Sequence[str], name: str) -> Cause:
        """Rights that our user lacks at the server of that name, and the command that gives them."""
        needed = list(missing)
        if any(right in missing for right in ("+publish", "+subscribe")):
            # A server looks at the channel after the command, and has not told about it yet.
            needed = list(dict.fromkeys([*missing, f"&{self.names.wake_channel}"]))
        return Cause(
            f"our user of {name} lacks rights: {' '.join(missing)}",
            f"Give them there: ACL SETUSER {self.user} {' '.join(needed)}",
        )


async def survey(part: Part, name: str, ours: Ours, key_hash: str, message: bytes) -> Proof:
    """What can be said about this server. Raises RedisError where it does not answer.

    `name`: what it is called in the proof. `key_hash`: a scratch key's. `message`: to publish.
    """
    proof = Proof()
    hello = await _hello(part)
    if (wrong := misplaced(name, ours.kind, hello.get("mode", ""), hello.get("role", ""))) is not None:
        proof.faults.append(wrong)
        return proof
    missing = await _missing_rights(part, ours, key_hash, message)
    if missing:
        proof.faults.append(ours.without(missing, name))
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


async def _missing_rights(part: Part, ours: Ours, key_hash: str, message: bytes) -> list[str]:
    """What an ACL denies to us, of all that the scripts and the replica use."""
    missing: list[str] = []
    for words in _needed(ours, key_hash, message):
        try:
            await part.client.execute_command(*words)
        except NoPermissionError as error:
            if (named := ours.right_of(error)) not in missing:
                missing.append(named)
        except ResponseError:
            continue  # allowed; it had nothing to work on
    return missing


def _needed(ours: Ours, key_hash: str, message: bytes) -> list[Words]:
    """Each command, so that it changes nothing: an ACL is looked at before the key and the arguments are."""
    record, _, meta = ours.names.keys(key_hash)
    needed: list[Words] = [
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
