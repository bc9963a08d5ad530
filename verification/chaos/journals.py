"""What the replicas wrote down."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from chaos.processes import Member
from history.checker import Step
from history.logs import read_steps

OUR_OWN: Final = ("unexpected_error", "internal_error")
SHOWN: Final = 200
"""Characters of an exception."""


def steps_of(members: Iterable[Member], names: Mapping[str, str]) -> list[Step]:
    """What happened to some keys. Times of a wrong clock are put right. `names`: the keys' audiences by hash."""
    found: list[Step] = []
    for member in members:
        for skew, lines in _lives(member):
            # Most lines are of other keys: not even parsed.
            mine = (line for line in lines if any(key_hash in line for key_hash in names))
            found += read_steps(mine, member.name, names, ahead=skew)
    return found


def lines_of(member: Member, event: str) -> Iterator[tuple[float, Mapping[str, object]]]:
    """The lines of one event and when they were written, by this host's clock."""
    marker = f'"event": "{event}"'
    for skew, lines in _lives(member):
        for line in lines:
            if marker in line:
                fields = json.loads(line)
                yield datetime.fromisoformat(fields["timestamp"]).timestamp() - skew, fields


def unforeseen(members: Iterable[Member], since: float) -> list[str]:
    """Errors of our own in the logs: exceptions that their place did not know. No fault excuses them."""
    return [
        f"{member.name} wrote {event} at {moment:.3f}: {str(line.get('where') or line.get('exception'))[-SHOWN:]}"
        for member in members
        for event in OUR_OWN
        for moment, line in lines_of(member, event)
        if moment >= since
    ]


def _lives(member: Member) -> Iterator[tuple[float, list[str]]]:
    """For each start, by how much its clock was ahead, and its lines. The last one may be half written."""
    log = member.said.read_bytes()
    ends = [start for start, _ in member.skews[1:]] + [len(log)]
    for (start, skew), end in zip(member.skews, ends, strict=True):
        yield skew, log[start:end].decode(errors="replace").rpartition("\n")[0].splitlines()
