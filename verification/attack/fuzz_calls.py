"""Bytes to every method, and bearers of every kind: only the statuses of our table, and the server lives."""

import json
from pathlib import Path
from typing import Final, NamedTuple

from attack.arena import Arena
from attack.exploring import explore
from attack.figures import Figures
from attack.hostile import AUTHORIZATIONS, FORGED, MESSAGES, METADATA, METHODS
from attack.wire import GRPC_CODES, OUR_CODES, Metadata, bearer, broken_law, wired
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import strategies as st

from mintonce.v1 import admin_pb2, tokens_pb2

REQUESTS: Final[dict[str, type[Message]]] = {
    "GetToken": tokens_pb2.GetTokenRequest,
    "WatchToken": tokens_pb2.WatchTokenRequest,
    "RejectToken": tokens_pb2.RejectTokenRequest,
    "ListTokens": admin_pb2.ListTokensRequest,
    "RotateToken": admin_pb2.RotateTokenRequest,
    "Check": health_pb2.HealthCheckRequest,
    "Watch": health_pb2.HealthCheckRequest,
    "ServerReflectionInfo": reflection_pb2.ServerReflectionRequest,
}
HEALTH: Final = frozenset({"OK", "NOT_FOUND"})
OURS: Final = METHODS[:5]


class Shot(NamedTuple):
    """What is sent."""

    method: str
    message: bytes
    metadata: Metadata


def is_readable(shot: Shot) -> bool:
    """Whether the message is one of its method's kind."""
    kind = REQUESTS.get(shot.method.rpartition("/")[2])
    if kind is None:
        return True
    try:
        kind.FromString(shot.message)
    except DecodeError:
        return False
    return True


SHOTS = st.builds(Shot, st.sampled_from(METHODS), MESSAGES, METADATA)
READABLE = SHOTS.filter(is_readable)
UNREADABLE = st.builds(Shot, st.sampled_from(OURS), MESSAGES, METADATA).filter(lambda shot: not is_readable(shot))
PROOFS = st.tuples(SHOTS.filter(lambda shot: shot.method in OURS and is_readable(shot)), AUTHORIZATIONS)


class Logs:
    """The log and the audit log, from where they are now."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._begin = {path: path.stat().st_size for path in (arena.server.log, arena.audit)}

    def broken(self) -> list[str]:
        """What is wrong with a line: no object, forged, or the trace of a bug."""
        lines = [(path, line) for path in self._begin for line in self._new(path)]
        found = [f"{path.name} {wrong}" for path, line in lines if (wrong := _wrong_line(line))]
        return found + ["the server is dead"] * (self._arena.server.process.returncode is not None)

    def _new(self, path: Path) -> list[str]:
        return path.read_bytes()[self._begin[path] :].decode().splitlines()


def _wrong_line(line: str) -> str:
    try:
        told = json.loads(line)
    except ValueError:
        return "has a line that is no JSON"
    if line == FORGED.strip() or told.get("event") in ("forged", "internal_error") or "Traceback" in line:
        return f"tells: {told.get('event')}"
    return ""


async def fuzz_calls(arena: Arena, shots: st.SearchStrategy[Shot], name: str, examples: int, seed: int) -> Figures:
    """By a caller who is let in."""
    figures, logs = Figures(name), Logs(arena)
    with wired(arena.target) as wire:

        def check(shot: Shot) -> None:
            said = wire.call(shot.method, shot.message, (bearer(arena.attacker), *shot.metadata))
            allowed = HEALTH | GRPC_CODES if "health" in shot.method else OUR_CODES | GRPC_CODES
            figures.saw(said.code, broken_law(shot.method, shot.message, said, allowed=allowed))

        await explore(figures, shots, check, examples, seed)
    figures.broken.update(logs.broken())
    return figures


async def fuzz_proofs(arena: Arena, examples: int, seed: int) -> Figures:
    """By a caller who has no proof, or a strange one: nothing but UNAUTHENTICATED."""
    figures, logs = Figures("calls with strange bearers"), Logs(arena)
    with wired(arena.target) as wire:

        def check(example: tuple[Shot, str]) -> None:
            shot, authorization = example
            said = wire.call(shot.method, shot.message, (("authorization", authorization), *shot.metadata))
            wrong = broken_law(shot.method, shot.message, said, allowed=frozenset({"UNAUTHENTICATED"}))
            figures.saw(said.code, wrong)

        await explore(figures, PROOFS, check, examples, seed)
    figures.broken.update(logs.broken())
    return figures
