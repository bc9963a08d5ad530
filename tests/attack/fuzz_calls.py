"""Bytes to every method, and bearers of every kind: only the statuses of our table, and the server lives."""

import json
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import strategies as st

from attack.arena import Arena
from attack.exploring import explore
from attack.figures import Figures
from attack.hostile import AUTHORIZATIONS, FORGED, MESSAGES, METADATA, METHODS
from attack.wire import GRPC_CODES, OUR_CODES, Metadata, bearer, broken_law, wired
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


async def fuzz_calls(arena: Arena, shots: st.SearchStrategy[Shot], name: str, examples: int, seed: int) -> Figures:
    """By a caller who is let in."""
    figures = Figures(name)
    with wired(arena.target) as wire:

        def check(shot: Shot) -> None:
            said = wire.call(shot.method, shot.message, (bearer(arena.attacker), *shot.metadata))
            allowed = HEALTH | GRPC_CODES if "health" in shot.method else OUR_CODES | GRPC_CODES
            figures.saw(said.code, broken_law(shot.method, shot.message, said, allowed=allowed))

        await explore(figures, shots, check, examples, seed)
    figures.broken.update(broken_logs(arena))
    return figures


async def fuzz_proofs(arena: Arena, examples: int, seed: int) -> Figures:
    """By a caller who has no proof, or a strange one: nothing but UNAUTHENTICATED."""
    figures = Figures("calls with strange bearers")
    with wired(arena.target) as wire:

        def check(example: tuple[Shot, str]) -> None:
            shot, authorization = example
            said = wire.call(shot.method, shot.message, (("authorization", authorization), *shot.metadata))
            wrong = broken_law(shot.method, shot.message, said, allowed=frozenset({"UNAUTHENTICATED"}))
            figures.saw(said.code, wrong)

        await explore(figures, PROOFS, check, examples, seed)
    figures.broken.update(broken_logs(arena))
    return figures


def broken_logs(arena: Arena) -> list[str]:
    """What is wrong with the log and the audit log: a line that is no object, that is forged, that tells of a bug."""
    found: list[str] = []
    forged = FORGED.strip()
    for path in (arena.server.log, arena.audit):
        for line in path.read_text().splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                found.append(f"a line of {path.name} is no JSON")
                continue
            if line == forged or told.get("event") in ("forged", "internal_error") or "Traceback" in line:
                found.append(f"{path.name} tells: {told.get('event')}")
    if arena.server.process.returncode is not None:
        found.append("the server is dead")
    return found
